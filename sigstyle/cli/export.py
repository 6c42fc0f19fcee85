"""The export command: a style for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from sigstyle.cli.console import Report
from sigstyle.cli.options import AsJson, Quiet, output_path
from sigstyle.errors import ConfigError

DEFAULT_RANK = 256
NO_DECODER = (
    "the style's part in the autoencoder is left out: a LoRA changes the UNet alone, so strokes come out softer"
)

StyleArgument = Annotated[str, typer.Argument(metavar="STYLE", help="style file or name of a shipped style")]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="LORA.safetensors", help="where the LoRA goes")]
Rank = Annotated[
    int, typer.Option(help="rank of the LoRA; a higher one is nearer to the style, and larger: 41 MB for SD 1.5 at 256")
]
OwnBase = Annotated[
    str | None, typer.Option("--base", help="'mini', a folder, a .safetensors checkpoint or a hub id; the style's own")
]


def export(
    style: StyleArgument,
    output: Output,
    rank: Rank = DEFAULT_RANK,
    base: OwnBase = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a style as a LoRA, with its token as a textual inversion in embeddings/ beside it, for other programs.

    The prompt there needs the token: "… in the style of <name>" in diffusers; in A1111 the file's name calls it, so
    there it is "… in the style of name".
    """
    output = output_path(output, ".safetensors")
    from sigstyle.style.shipped import existing_style, open_style, own_base

    found = existing_style(style)
    source = Path(found).expanduser()
    if output.exists() and source.exists() and output.samefile(source):
        raise ConfigError(f"{output} is the style itself; expected another name for the LoRA.")
    from sigstyle.base.model import load_base
    from sigstyle.style.lora import embedding_place, lora_of, trigger_by_file_name

    opened = open_style(found)
    embedding_place(opened, output)
    lora = lora_of(opened, load_base(base or own_base(opened), "cpu"), rank)
    token = lora.save(output)
    size, trigger = output.stat().st_size, f"in the style of {opened.token.token}"
    by_file_name = f"in the style of {trigger_by_file_name(opened)}"
    data = {"lora": str(output), "textual_inversion": str(token), "rank": lora.rank, "bytes": size}
    data |= {"relative_error": round(lora.error, 4), "trigger": trigger, "trigger_by_file_name": by_file_name}
    lines = [
        f"{output}  LoRA of rank {lora.rank}, {size / 1e6:.1f} MB; {100 * lora.error:.1f} % of the change is left out",
        f'{token}  textual inversion; in A1111 its file name calls it: prompt "… {by_file_name}"; in diffusers '
        f'load_textual_inversion("{token.name}", token="{opened.token.token}"): prompt "… {trigger}"',
    ]
    if opened.decoder_offsets:
        lines.append(NO_DECODER)
    data["left_out"] = [NO_DECODER] if opened.decoder_offsets else []
    Report(quiet, as_json).result(lines, data)
