"""The bank of photographs: enough of them, of the right size, small, and none that tests or examples use."""

from itertools import chain
from pathlib import Path

from PIL import Image

from weights.content.__main__ import SHORT_PX, cut, table
from weights.content.photos import PHOTOS
from weights.training.dataset import Seen, fingerprint

ROOT = Path(__file__).parent.parent
BANK = sorted((ROOT / "weights" / "content").glob("*.webp"))


def fingerprint_of(path: Path) -> int:
    """The difference hash of a picture file."""
    with Image.open(path) as image:
        return fingerprint(image)


def test_the_bank_holds_enough_small_photos_of_one_short_side() -> None:
    assert len(BANK) >= 24
    assert sum(path.stat().st_size for path in BANK) <= 2_000_000
    for path in BANK:
        with Image.open(path) as image:
            assert min(image.size) == SHORT_PX and image.mode == "RGB", path.name


def test_no_photo_of_the_bank_is_an_example_or_a_pair_or_twice_there() -> None:
    others = chain(*((ROOT / folder).glob("*.jpg") for folder in ("examples/content", "benchmarks/pairs/content")))
    seen = Seen()
    for path in others:
        seen.add(fingerprint_of(path))
    assert len(seen.hashes) >= 19
    assert [path.name for path in BANK if not seen.add(fingerprint_of(path))] == []


def test_every_photo_has_its_author_and_licence_written_down() -> None:
    sources = (ROOT / "weights" / "content" / "SOURCES.md").read_text(encoding="utf-8")
    assert sorted(photo.name for photo in PHOTOS) == [path.stem for path in BANK]
    for photo in PHOTOS:
        row = next(line for line in sources.splitlines() if line.startswith(f"| {photo.name}.webp "))
        assert photo.author in row and photo.licence in row and photo.path in row
    assert table({photo.package: "1" for photo in PHOTOS}).count("\n| ") == len(PHOTOS) + 2


def test_a_box_is_cut_out_and_brought_to_the_short_side() -> None:
    image = Image.new("RGB", (400, 300), "red")
    image.paste("blue", (100, 0, 400, 300))
    part = cut(image, (100, 0, 400, 240))
    assert part.size == (640, SHORT_PX) and part.getpixel((0, 0)) == (0, 0, 255)
