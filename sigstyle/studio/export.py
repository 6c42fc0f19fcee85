"""A style for other programs: a LoRA with its token, in a zip."""

import tempfile
import zipfile
from pathlib import Path

from sigstyle.studio.lane import Job
from sigstyle.studio.studio import Studio, Who
from sigstyle.style.lora import lora_of

RANK = 256  # as the shell's, unless told


def export(studio: Studio, who: Who, name: str, base: str) -> Job[Path]:
    """Write a style as a LoRA and a textual inversion, zipped.

    Raises: ConfigError for an unknown style or base; in the lane BaseMismatchError for another base than its own.
    """
    workspace, entry, key = studio.admitted(who), studio.library(who).get(name), studio.bases.check(base)

    def work(job: Job[Path]) -> Path:
        lora = lora_of(entry.style, studio.bases.get(key), RANK)
        archive = workspace.new_result(f"{entry.name}-lora", ".zip")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{entry.path.stem}-lora.safetensors"
            token = lora.save(file)
            with zipfile.ZipFile(archive, "w") as zipped:
                zipped.write(file, file.name)
                zipped.write(token, f"{token.parent.name}/{token.name}")
        return archive

    return studio.submit(who, "export", work, title=f"{entry.name} as a LoRA")
