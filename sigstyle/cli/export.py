"""The export command: a style for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from sigstyle.base.headers import LORA
from sigstyle.cli.console import Report
from sigstyle.cli.options import AsJson, Overwrite, Quiet, files_of_styles, output_path
from sigstyle.files import check_destination

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
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a style as a LoRA, with its token as a textual inversion beside it, for other programs.

    The prompt there needs the token: "… in the style of <name>".
    """
    read = files_of_styles([style])
    output = output_path(output, ".safetensors", read, overwrite, (LORA,))
    replaces = overwrite or output.exists()  # a LoRA of ours has its embedding beside it
    check_destination(output.with_suffix(".embedding.safetensors"), read, replaces)
    from sigstyle.style.shipped import existing_style, load_own_base, open_style

    found = existing_style(style)
    from sigstyle.base.model import load_base
    from sigstyle.style.lora import lora_of

    opened = open_style(found)
    lora = lora_of(opened, load_base(base, "cpu") if base else load_own_base(opened, "cpu"), rank)
    token = lora.save(output)
    size, trigger = output.stat().st_size, f"in the style of {opened.token.token}"
    data = {"lora": str(output), "textual_inversion": str(token), "rank": lora.rank, "bytes": size}
    data |= {"relative_error": round(lora.error, 4), "trigger": trigger}
    lines = [
        f"{output}  LoRA of rank {lora.rank}, {size / 1e6:.1f} MB; {100 * lora.error:.1f} % of the change is left out",
        f'{token}  textual inversion; prompt "… {trigger}"',
    ]
    if opened.decoder_offsets:
        lines.append(NO_DECODER)
    data["left_out"] = [NO_DECODER] if opened.decoder_offsets else []
    Report(quiet, as_json).result(lines, data)
