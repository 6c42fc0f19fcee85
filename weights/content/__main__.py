"""Make the bank of photographs again from Debian's packages: ``python -m weights.content WORK``."""

from pathlib import Path

import typer
from PIL import Image

from weights.content.photos import PHOTOS, Photo
from weights.training import archives, fetch

FOLDER = Path(__file__).parent
SHORT_PX = 512
QUALITY = 84


def read(photo: Photo, unpacked: Path) -> Image.Image:
    """Find the photo's file below ``unpacked`` and decode it.

    Raises:
        FileNotFoundError: the package does not hold the file.
    """
    if photo.archive:
        found = (content for name, content in archives.files(unpacked, photo.archive) if name.endswith(photo.path))
    else:
        found = (path.read_bytes() for path in unpacked.rglob("*") if path.as_posix().endswith(photo.path))
    content = next(found, None)
    if content is None:
        raise FileNotFoundError(f"{photo.package} holds no {photo.path}: take the version that SOURCES.md names")
    with Image.open(archives.stream(content)) as image:
        return image.convert("RGB")


def cut(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Cut out ``box`` and bring its short side to 512 px."""
    part = image.crop(box)
    scale = SHORT_PX / min(part.size)
    size = (round(part.width * scale), round(part.height * scale))
    return part.resize(size, Image.Resampling.LANCZOS)


def table(versions: dict[str, str]) -> str:
    """Say in Markdown whose each photo is and where it comes from."""
    rows = (
        f"| {p.name}.webp | {p.author} | {p.licence} | `{p.package}` {versions[p.package]}, {p.path} | {p.source} |"
        for p in sorted(PHOTOS, key=lambda p: p.name)
    )
    return (
        "# The bank of photographs\n"
        f"{len(PHOTOS)} photographs out of packages of Debian's *main* section, cut and brought to a short side of "
        f"{SHORT_PX} px by\n`python -m weights.content` (boxes in `photos.py`); those of `endless-sky-data` are "
        "enlarged from 360 px. None is an\nexample, none is among the pairs. They may be shipped with the project: "
        "keep this table's facts beside every copy.\n\n"
        "CC0-1.0: https://creativecommons.org/publicdomain/zero/1.0/, CC-BY-2.0: "
        "https://creativecommons.org/licenses/by/2.0/,\nCC-BY-4.0: https://creativecommons.org/licenses/by/4.0/. "
        "What was changed: cut, resized, saved as WebP.\n\n"
        "| file | author | licence | package and file | source |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n"
    )


def main(work: Path) -> None:
    """Fetch the packages into WORK, cut the photos and write them and SOURCES.md beside this file."""
    versions = {}
    for package in dict.fromkeys(photo.package for photo in PHOTOS):
        deb = fetch.download(package, work / "debs")
        fetch.unpack(deb, work / "packages" / package)
        versions[package] = fetch.version_of(deb)
    for photo in PHOTOS:
        path = FOLDER / f"{photo.name}.webp"
        cut(read(photo, work / "packages" / photo.package), photo.box).save(path, quality=QUALITY, method=6)
        typer.echo(f"{path.name}  {path.stat().st_size / 1000:.0f} kB")
    (FOLDER / "SOURCES.md").write_text(table(versions), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
