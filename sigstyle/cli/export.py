"""The export command: a style for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from sigstyle.base.headers import LORA
from sigstyle.cli.console import Report
from sigstyle.cli.options import AsJson, Overwrite, Quiet, files_of_styles, output_path

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
    """Write a style as a LoRA, with its token as a textual inversion in embeddings/ beside it, for other programs.

    The prompt there needs the token: "… in the style of <name>" in diffusers; in A1111 the file's name calls it, so
    there it is "… in the style of name".
    """
    read = files_of_styles([style])
    output = output_path(output, ".safetensors", read, overwrite, (LORA,))
    from sigstyle.style.shipped import existing_style, load_own_base, open_style

    found = existing_style(style)
    from sigstyle.base.model import load_base
    from sigstyle.style.lora import embedding_place, lora_of, trigger_by_file_name

    opened = open_style(found)
    embedding_place(opened, output)
    lora = lora_of(opened, load_base(base, "cpu") if base else load_own_base(opened, "cpu"), rank)
    token = lora.save(output)
    size, trigger = output.stat().st_size, f"in the style of {opened.token.token}"
    by_file_name = f"in the style of {trigger_by_file_name(opened)}"
    data = {"lora": str(output), "textual_inversion": str(token), "rank": lora.rank, "bytes": size}
    data |= {"relative_error": round(lora.error, 4), "trigger": trigger, "trigger_by_file_name": by_file_name}
    by_name = f'load_textual_inversion("{token.name}", token="{opened.token.token}")'
    if len(lora.widths) > 1:
        by_name += " for each text encoder, with its part of the file"
    lines = [
        f"{output}  LoRA of rank {lora.rank}, {size / 1e6:.1f} MB; {100 * lora.error:.1f} % of the change is left out",
        f'{token}  textual inversion; in A1111 its file name calls it: prompt "… {by_file_name}"; in diffusers '
        f'{by_name}: prompt "… {trigger}"',
    ]
    if opened.decoder_offsets:
        lines.append(NO_DECODER)
    data["left_out"] = [NO_DECODER] if opened.decoder_offsets else []
    Report(quiet, as_json).result(lines, data)
