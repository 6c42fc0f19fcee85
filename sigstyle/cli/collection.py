"""The collection commands: many styles in one file, each an embedding of one hypernetwork."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigstyle.base.devices import device_and_dtype
from sigstyle.base.headers import STYLE
from sigstyle.cli.console import Report
from sigstyle.cli.options import AsJson, Base, Device, DType, Overwrite, Quiet, command, output_path
from sigstyle.config import CollectionConfig
from sigstyle.errors import ConfigError
from sigstyle.files import check_destination

if TYPE_CHECKING:
    from sigstyle.base.model import BaseModel
    from sigstyle.style.collection import Collection

collection_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

File = Annotated[Path, typer.Argument(metavar="COLLECTION", help="file of the collection")]
OtherBase = Annotated[
    str | None, typer.Option("--base", help="the collection's own, unless its folder lies elsewhere by now")
]


@collection_app.callback(invoke_without_command=True)
def collection(context: typer.Context) -> None:
    """Many styles in one hypernetwork: a style takes some 1.3 kB there, and adding one keeps the others as they are."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@command(collection_app)
def new(
    file: File,
    base: Base = "mini",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Begin a collection: a file with the hypernetwork that ships for the base, and no styles yet."""
    from sigstyle.base.model import load_base
    from sigstyle.learning.collecting import new_collection

    path = output_path(file, ".safetensors", (), overwrite)
    begun = new_collection(load_base(base))
    _save(path, begun, None)
    data = {"collection": str(path), "network": begun.network.hash, "bytes": path.stat().st_size}
    Report(quiet, as_json).result([f"{path}  no styles yet, {path.stat().st_size / 1000:.0f} kB"], data)


@command(collection_app, CollectionConfig())
def add(
    file: File,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="one image, or several by one hand")],
    name: Annotated[str | None, typer.Option(help="what the style is called; the first image's name")] = None,
    bank: Annotated[
        Path | None, typer.Option(metavar="DIR", help="photos to paint while learning; unless given, those that ship")
    ] = None,
    base: OtherBase = None,
    device: Device = None,
    dtype: DType = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    **settings: Any,
) -> None:
    """Learn the style of an image into a collection, whose other styles are held as they are meanwhile.

    Stopped before its end, it leaves the collection as it was.
    """
    from sigstyle.imaging.images import load_image
    from sigstyle.learning.collecting import add_to_collection
    from sigstyle.text import style_name_of

    started, report, config = time.monotonic(), Report(quiet, as_json), CollectionConfig.from_dict(settings)
    before, loaded = _opened(file, images), [load_image(image) for image in images]
    for image in loaded:
        if "notice" in image.info:
            report.notice(image.info["notice"])
    place, kind = device_and_dtype(device, dtype)
    called = name or style_name_of(images[0].stem)
    with report.bar("add") as update:
        after = add_to_collection(
            _base(before, base, place, kind),
            before,
            loaded,
            called,
            config,
            bank=bank,
            on_step=lambda step, steps, loss: update(step, steps, f"loss {loss:.4f}"),
        )
    _save(file, after, before)
    seconds, size = time.monotonic() - started, file.expanduser().stat().st_size
    data = {"collection": str(file), "name": called, "styles": len(after.members), "network": after.network.hash}
    data |= {"bytes": size, "seconds": round(seconds, 2)}
    report.result([f"{file}  {called}, {len(after.members)} styles, {size / 1000:.0f} kB, {seconds:.1f} s"], data)


@command(collection_app, name="list")
def members(file: File, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """List the styles of a collection."""
    found = _opened(file)
    rows = [{"name": member.name, "steps": member.metadata.get("config", {}).get("steps")} for member in found.members]
    data = {"collection": str(file), "base": found.base_name, "network": found.network.hash, "styles": rows}
    lines = [member.name for member in found.members] or ["no styles yet"]
    Report(quiet, as_json).result(lines, data, written=False)


@command(collection_app)
def report(
    file: File,
    base: OtherBase = None,
    device: Device = None,
    dtype: DType = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure forgetting: how far each style's offsets, and a picture painted with them, are from what they were."""
    from sigstyle.learning.collecting import forgetting

    found = _opened(file)
    place, kind = device_and_dtype(device, dtype)
    rows = forgetting(_base(found, base, place, kind), found)
    lines = [f"{'offsets':>8} {'picture':>8}  style", *(f"{r.offsets:8.1%} {r.picture:8.2f}  {r.name}" for r in rows)]
    data = {"collection": str(file), "network": found.network.hash, "styles": [vars(row) for row in rows]}
    Report(quiet, as_json).result(lines if rows else ["no styles yet"], data, written=False)


@command(collection_app)
def remove(
    file: File,
    name: Annotated[str, typer.Argument(metavar="NAME", help="the style that goes")],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Take a style out of a collection; the network and the other styles stay as they are."""
    before = _opened(file)
    after = before.without(name)
    _save(file, after, before)
    data = {"collection": str(file), "removed": name, "styles": len(after.members)}
    Report(quiet, as_json).result([f"{file}  without {name}, {len(after.members)} styles"], data)


@command(collection_app)
def take(
    file: File,
    styles: Annotated[
        list[str], typer.Argument(metavar="NAME[:SHARE]...", help="a style, or several to take one between them")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="STYLE.safetensors", help="where the style goes")],
    name: Annotated[str | None, typer.Option(help="what the style is called; its own name unless given")] = None,
    rank: Annotated[
        int | None, typer.Option(min=1, max=64, help="lower rank of its offsets, for a smaller file; the network's own")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make an ordinary style file of a collection's style, or of a point between several, by their embeddings."""
    found = _opened(file)
    path = output_path(output, ".safetensors", [file], overwrite, (STYLE,))
    shares = _shares(styles, [member.name for member in found.members])
    style = found.style(shares, name, rank)
    data: dict[str, Any] = {"style": str(path), "name": style.name, "hash": style.hash, "shares": shares}
    if len(shares) > 1 and as_json:
        data["box_width"] = round(_width(found, shares), 3)
    style.save(path)
    data["bytes"] = path.stat().st_size
    Report(quiet, as_json).result([f"{path}  {style.name}, {data['bytes'] / 1000:.0f} kB"], data)


def _width(found: "Collection", shares: dict[str, float]) -> float:
    """How far the offsets of whatever lies between styles can be from those in the middle, as a share of these."""
    from sigstyle.style.fusion import HyperBox, fused, reach

    ends = [found.member(name).embedding for name in shares]
    return reach(HyperBox.between(ends), found.network.net, fused(ends, [1] * len(ends)))


def _shares(texts: Sequence[str], known: Sequence[str]) -> dict[str, float]:
    """Shares by name of texts such as 'Wave:0.5' or 'Wave', which is 1. Raises: ConfigError for one given twice."""
    shares: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition(":")
        share = 1.0
        if text not in known and name:
            try:
                name, share = name, float(number)
            except ValueError:
                name = text
        else:
            name = text
        if name in shares:
            raise ConfigError(f"The style {name} is given twice; expected each once, with its share.")
        shares[name] = share
    return shares


def _opened(file: Path, inputs: Sequence[Path] = ()) -> "Collection":
    """The collection in a file that can be written again and is none of the inputs. Raises: SigStyleError."""
    from sigstyle.files import possible
    from sigstyle.style.collection_file import load_collection

    if inputs:
        check_destination(file, inputs, overwrite=True)
    return load_collection(possible(file))


def _base(found: "Collection", base: str | None, device: Any, dtype: Any) -> "BaseModel":
    """The base that was given, else the collection's own, which is never fetched because a file says so."""
    from sigstyle.base.model import load_base

    return load_base(base or found.base_name, device, dtype, offline=base is None)


def _save(file: Path, after: "Collection", before: "Collection | None") -> None:
    """Write a collection, if its file is still what it was. Raises: ConfigError when another command changed it."""
    from sigstyle.files import possible
    from sigstyle.style.collection_file import load_collection, save_collection

    path = possible(file)
    if before is not None:
        now = load_collection(path)
        state, known = ([one.network.hash, *(m.name for m in one.members)] for one in (now, before))
        if state != known:
            raise ConfigError(f"{file} was changed by another command meanwhile, and stays so. Run this one again.")
    save_collection(path, after)
