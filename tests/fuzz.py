"""Damaged style files, recipes, job files and manifests thrown at every way in: prints what came of it as JSON.

Each must end in a picture or a style, a notice, or one line; in nothing else, soon, and in bounded memory.
Called as `python tests/fuzz.py [--styles N] [--recipes N] [--jobs N] [--manifests N] [--seed S] [--keep DIR]`, from
anywhere; exit code 1 when anything was wrong. DIR gets the files that were. A case is the same for the same seed.
"""

import argparse
import csv
import io
import json
import random
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the code beside these tests

import pytest
import torch
from conftest import make_painting, make_parts
from mutations import as_text, changed, changed_style, damaged
from PIL.PngImagePlugin import PngInfo
from random_style import random_style
from test_base_model import save_pipeline
from typer.testing import CliRunner

import sigstyle
from sigstyle import api
from sigstyle.base.model import BaseModel, load_base
from sigstyle.batches.batch import plan
from sigstyle.batches.present import damage, found_at
from sigstyle.cli.main import app
from sigstyle.config import TransferConfig
from sigstyle.errors import SigStyleError
from sigstyle.imaging.images import RECIPE_KEY, load_image, read_recipe
from sigstyle.scoring.pairs import pair_of
from sigstyle.studio.restore import restore
from sigstyle.studio.studio import Studio, Who
from sigstyle.style import ingredients
from sigstyle.style.style import Style

KINDS = ("styles", "recipes", "jobs", "manifests")
FULL = {"styles": 2000, "recipes": 400, "jobs": 400, "manifests": 300}
LONGEST_LINE = 2000
LONGEST_S = 5.0  # of processor time, for a case
_HANGS_AFTER_S = 120  # by the clock, on a machine that may have much else to do
SMALL: dict[str, Any] = {"steps": 2, "size_px": 64}
_SMALL_FLAGS = {"--steps": 2, "--size-px": 64, "--width": 64, "--height": 64, "--margin-px": 8}


class Hang(BaseException):
    """Not an Exception: nothing may take it for a failure of its own."""


@dataclass
class Shop:
    """A tiny base, a photo and a style of it, and pictures in that style, where each case begins anew."""

    place: Path
    base: BaseModel
    studio: Studio
    sound: dict[str, bytes] = field(default_factory=dict)

    @property
    def style(self) -> Path:
        return self.place / "wave.safetensors"

    @property
    def photos(self) -> Path:
        return self.place / "photos"


def shop_in(place: Path) -> Shop:
    """Everything sound that the cases damage."""
    folder = save_pipeline(place / "tiny", make_parts())
    base = load_base(folder)
    (place / "photos").mkdir()
    for number in range(2):
        make_painting().rotate(20 * number).save(place / "photos" / f"p{number}.png")
    random_style(base).save(place / "wave.safetensors")
    kept = Shop(place, base, Studio(place / "data", str(folder), device="cpu"))
    made = api.transfer(place / "photos" / "p0.png", place / "wave.safetensors", base=base, **SMALL)
    made.recipe["base"]["path"] = str(folder)
    made.save(place / "picture.png")
    list(sigstyle.batch(kept.photos, kept.style, place / "batch", base=base, **SMALL))
    kept.sound = {p.name: p.read_bytes() for p in (place / "batch").iterdir() if p.is_file()}
    return kept


# --- the four kinds: each takes a shop and chance, leaves its damaged file in shop.place, and says what came of it


def styles(shop: Shop, chance: random.Random) -> str:
    """A style file: told by `info`, and painted with where it loads."""
    path = shop.place / "case.safetensors"
    path.write_bytes(changed_style(shop.style.read_bytes(), chance))
    told = spoken("info", path, "--json")
    if told is None:
        return "refused"
    json.loads(told)
    Style.load(path)
    kept = api.transfer(shop.photos / "p0.png", path, base=shop.base, **SMALL)
    assert all(min(image.size) > 0 for image in kept.images)
    return "painted"


def recipes(shop: Shop, chance: random.Random) -> str:
    """A picture: told by `info`, looked at by a batch, restored by the app, painted again as its recipe says."""
    path = shop.place / "case.png"
    path.write_bytes(_changed_picture(shop, chance))
    found = found_at(path)
    assert found.recipe is None or isinstance(found.recipe, dict)
    damage(path)
    told = spoken("info", path, "--json")
    _told(lambda: restore(shop.studio, Who("key:anna", "page"), path, str(shop.place / "tiny")))
    _told(lambda: pair_of(path))
    if chance.random() < 0.3:
        _told(lambda: _met_by_a_batch(shop, path))
    if told is None:
        return "refused"
    command = json.loads(told).get("command")
    if command is None:
        return "told"
    assert isinstance(command, str) and "\n" not in command
    return "painted" if spoken(*_small(shop, shlex.split(command)[3:])) is not None else "refused, when painted"


def _changed_picture(shop: Shop, chance: random.Random) -> bytes:
    whole = (shop.place / "picture.png").read_bytes()
    if chance.random() < 0.25:
        return damaged(whole, chance)
    recipe = read_recipe(shop.place / "picture.png")
    text = as_text(changed(recipe, chance, times=1 if chance.random() < 0.7 else 3), chance)
    if chance.random() < 0.2:
        text = damaged(text.encode(errors="surrogatepass"), chance).decode("latin-1")
    info, buffer = PngInfo(), io.BytesIO()
    info.add_itxt(RECIPE_KEY, text.encode(errors="replace").decode())
    make_painting().save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _met_by_a_batch(shop: Shop, path: Path) -> None:
    """A batch that finds it where a picture of its own goes."""
    output = _batch_again(shop)
    shutil.copy(path, output / "p0--wave.png")
    for result in sigstyle.batch(shop.photos, shop.style, output, base=shop.base, **SMALL):
        check_line(result.error or "")
    assert (output / "p1--wave.png").read_bytes() == shop.sound["p1--wave.png"]


def _batch_again(shop: Shop) -> Path:
    """A finished batch, as it was."""
    output = shop.place / "batch-case"
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(shop.place / "batch", output)
    return output


def _told(work: Callable[[], object]) -> None:
    """Do what may be refused in one line."""
    try:
        work()
    except SigStyleError as error:
        check_line(str(error))


def _small(shop: Shop, words: list[str]) -> list[str]:
    """A recipe's command, whose picture goes elsewhere and costs little."""
    words = list(words)
    for place, word in enumerate(words[:-1]):
        if word == "-o":
            words[place + 1] = str(shop.place / "again.png")
        elif word in _SMALL_FLAGS and words[place + 1].isdecimal():
            words[place + 1] = str(min(int(words[place + 1]), _SMALL_FLAGS[word]))
        elif word == "--base" and words[place + 1] == "tiny":
            words[place + 1] = str(shop.place / "tiny")
    return [*words, "-y"]


def jobs(shop: Shop, chance: random.Random) -> str:
    """A job file, .jsonl or .csv: planned, and painted where what it asks for is little."""
    rows: list[dict[str, Any]] = [
        {"content": "photos/p0.png", "style": "wave.safetensors", "output": "one", "seed": 3, "strength": 0.5},
        {"content": "photos/p1.png", "style": ["wave.safetensors"], "prompt": "a cat, sitting", "palette": 0.3},
        {"content": "photos/p0.png", "style": "wave.safetensors", "preset": None, "steps": 1, "output": "sub/two.png"},
    ]
    rows[2].pop("preset")
    rows = changed(rows, chance, times=1 if chance.random() < 0.7 else 3)
    as_csv = chance.random() < 0.5
    text = _csv(rows) if as_csv else "\n".join(as_text(row, chance) for row in rows)
    data = text.encode(errors="surrogatepass")
    path = shop.place / ("case.csv" if as_csv else "case.jsonl")
    path.write_bytes(damaged(data, chance) if chance.random() < 0.3 else data)
    shutil.rmtree(shop.place / "out", ignore_errors=True)
    config = TransferConfig(**SMALL)
    planned = plan(None, shop.style, shop.place / "out", jobs=path, config=config)
    little = all(o.config.steps <= 4 and (o.config.size_px or 64) <= 96 for o in planned.outputs)
    if not little or len(planned.outputs) > 6:
        return "planned"
    made = list(sigstyle.batch(None, shop.style, shop.place / "out", jobs=path, config=config, base=shop.base))
    assert len(made) == len(planned.outputs), (len(made), len(planned.outputs))
    for result in made:
        check_line(result.error or "")
        assert result.error or (result.path is not None and load_image(result.path))
    return "painted" if not any(result.error for result in made) else "failed in its line"


def _csv(rows: list[Any]) -> str:
    names = list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(names)
    for row in rows:
        given = row if isinstance(row, dict) else {}
        writer.writerow([str(given.get(name, "")).replace("\ud800", "?") for name in names])
    return buffer.getvalue()


def manifests(shop: Shop, chance: random.Random) -> str:
    """A batch whose manifest, and sometimes a picture, was damaged: it ends as it had ended before."""
    output = _batch_again(shop)
    path = output / "manifest.jsonl"
    if chance.random() < 0.6:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_bytes("\n".join(as_text(line, chance) for line in changed(lines, chance)).encode(errors="replace"))
    if chance.random() < 0.5:
        path.write_bytes(damaged(path.read_bytes() or b"\n", chance))
    if again := chance.random() < 0.3:
        (output / "p1--wave.png").unlink()
    notices: list[str] = []
    made = list(sigstyle.batch(shop.photos, shop.style, output, base=shop.base, on_notice=notices.append, **SMALL))
    for line in notices:
        check_line(line)
    assert [result.error for result in made] == [None] * again, made
    after = {p.name: p.read_bytes() for p in output.iterdir() if p.is_file() and "before" not in p.name}
    assert after.keys() == shop.sound.keys(), after.keys() ^ shop.sound.keys()
    assert all(after[name] == shop.sound[name] for name in after if name.endswith("--wave.png"))
    assert _lines(after["manifest.jsonl"]) == _lines(shop.sound["manifest.jsonl"])
    return "made again" if again else "as before"


def _lines(data: bytes) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in data.splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "notice")} for line in lines]


# --- what must hold for each


def spoken(*words: Any) -> str | None:
    """What a command prints, None where it refuses in one line. Raises: AssertionError for any other end."""
    told = CliRunner().invoke(app, [str(word) for word in words])
    if told.exit_code == 0:
        return told.stdout
    assert told.exit_code == 2 and told.stdout == "", (told.exit_code, told.output[-600:])
    check_line(told.stderr.removesuffix("\n"))
    return None


def check_line(text: str) -> None:
    """Raises: AssertionError for what is not one line that can be read."""
    assert "\n" not in text, text[-600:]
    assert len(text) <= LONGEST_LINE, f"a line of {len(text)} letters: {text[:200]}"


@contextmanager
def soon() -> Iterator[None]:
    """Raises: Hang in a block that does not end, AssertionError after one that took long."""

    def hangs(*_: object) -> None:
        raise Hang

    before, started = signal.signal(signal.SIGALRM, hangs), time.process_time()
    signal.alarm(_HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert (took := time.process_time() - started) < LONGEST_S, f"it took {took:.1f} s"


def ended(case: Callable[[Shop, random.Random], str], shop: Shop, chance: random.Random) -> tuple[str, str]:
    """(what came of a case, or what was wrong with its end)."""
    try:
        with soon(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return case(shop, chance), ""
    except SigStyleError as error:
        line = str(error)
        fault = "" if "\n" not in line and len(line) <= LONGEST_LINE else f"{len(line)} letters: {line[:200]!r}"
        return "refused", fault
    except (Exception, Hang) as error:
        return "wrong", f"{type(error).__name__}: {str(error)[:600]}"


def fuzz(shop: Shop, counts: dict[str, int], seed: int, keep: Path | None = None) -> dict[str, Any]:
    """As many cases of each kind as `counts` says; what came of them, and the faults."""
    told: dict[str, Any] = {"seed": seed, "faults": []}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(
            ingredients, "load_base", lambda base, *rest, **more: _held(shop, base) or load_base(base, *rest, **more)
        )
        for kind in KINDS:
            before, seen = _peak_mb(), Counter[str]()
            for number in range(counts.get(kind, 0)):
                result, fault = ended(globals()[kind], shop, random.Random(f"{seed} {kind} {number}"))
                seen[result] += 1
                if fault:
                    told["faults"].append(f"{kind} {number}: {fault}")
                    _keep(shop, keep, f"{kind}-{number}")
            told[kind] = {**seen, "more_mb": _peak_mb() - before}
            if told[kind]["more_mb"] > 1024:
                told["faults"].append(f"{kind}: {told[kind]['more_mb']} MB")
    return told


def _held(shop: Shop, base: Any) -> BaseModel | None:
    """The tiny base is loaded once; all others as usual."""
    return shop.base if base is shop.base or str(base) == str(shop.place / "tiny") else None


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _keep(shop: Shop, keep: Path | None, name: str) -> None:
    if keep is not None:
        for path in shop.place.glob("case.*"):
            shutil.copy(path, keep / f"{name}{path.suffix}")


def main(words: list[str]) -> int:
    """Runs the cases that the command line asks for, all that are promised unless told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=FULL[kind])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        told = fuzz(shop_in(Path(folder)), {kind: getattr(asked, kind) for kind in KINDS}, asked.seed, asked.keep)
    print(json.dumps(told, indent=1))
    return 1 if told["faults"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
