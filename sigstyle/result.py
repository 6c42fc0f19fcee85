"""What a call of the library gives back: finished images, and everything about them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import ConfigError, ImageError
from sigstyle.files import check_not_input, expanded, reason
from sigstyle.imaging.images import save_png


@dataclass(frozen=True)
class TransferResult:
    """Finished images and everything about them.

    `recipe` goes into every PNG; `trace` saves the inversion when the same content is painted in another style;
    `notices` are lines worth showing; `inputs` are the files it was made from, which `save` never writes over.
    """

    images: list[Image.Image]
    recipe: dict[str, Any]
    trace: ContentTrace | None = None
    notices: list[str] = field(default_factory=list)
    inputs: tuple[Path, ...] = ()

    def save(self, path: str | Path) -> list[Path]:
        """Write PNGs that carry their recipe: `path`, or for several images `path` with -1, -2, … added to its name.

        Files that are there are replaced, but for those that the pictures were made from.
        Raises: ConfigError, before anything is written, when the name does not end in .png or is that of an input;
        ImageError when a file cannot be written.
        """
        path = self._place(path)
        if path.suffix.lower() != ".png":
            raise ConfigError(f"The result is to be written to {path.name}; expected a name that ends in .png.")
        several = len(self.images) > 1
        paths = [path.with_stem(f"{path.stem}-{i + 1}") if several else path for i in range(len(self.images))]
        for place in paths:
            check_not_input(place, self.inputs)
        for i, (image, place) in enumerate(zip(self.images, paths, strict=True)):
            save_png(image, place, {**self.recipe, "index": i})
        return paths

    @staticmethod
    def _place(path: str | Path) -> Path:
        try:
            return expanded(path)
        except OSError as error:
            raise ImageError(f"{path} cannot be written: {reason(error)}. Choose another name.") from error
