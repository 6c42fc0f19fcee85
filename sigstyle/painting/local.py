"""A transfer that is not everywhere alike: what of the photo is painted, and in which style each part of it."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from sigstyle.diffusion.denoise import OnStep
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import ConfigError
from sigstyle.imaging.areas import area_of
from sigstyle.imaging.images import Source
from sigstyle.painting.dressing import dressed_content
from sigstyle.painting.evaluations import OnEvaluation
from sigstyle.painting.inversion import ContentInversion
from sigstyle.painting.layers import Layer, LayeredRun, gradient_layers
from sigstyle.painting.run import Run, run_of
from sigstyle.places import Spot
from sigstyle.style.blend import Blend
from sigstyle.style.style import Style


@dataclass(frozen=True)
class Region:
    """A part of the photo in a style of its own: `where` is a mask, or a place in the photo."""

    where: Source | Spot
    style: Style


@dataclass(frozen=True)
class Local:
    """Where a transfer paints what, beside what its settings say.

    A mask; regions in styles of their own; a gradient from style to style; a texture that is laid on what is painted.
    """

    mask: Source | None = None
    regions: tuple[Region, ...] = ()
    gradient: str | None = None
    texture: Image.Image | None = None

    def run(
        self,
        wanted: ContentInversion,
        blend: Blend | None,
        trace: ContentTrace | None,
        on_step: OnStep,
        on_evaluation: OnEvaluation,
        should_stop: Callable[[], bool],
    ) -> Run:
        """The transfer; without a `blend` the regions alone are painted.

        Raises: ConfigError for settings that do not go together or a place outside; ImageError for an unusable mask, or
        where no subject is found.
        """
        photo = wanted.content.image
        area = self._area(wanted, photo)
        if blend is None and (area is not None or self.gradient is not None or self.texture is not None):
            raise ConfigError(
                "A mask, a place, a gradient or a texture is of a style, and there are regions alone; give -s."
            )
        if self.texture is not None:
            wanted = dressed_content(wanted, self.texture, area)
        if not self.regions and self.gradient is None and blend is not None:
            return run_of(wanted, blend, area, trace, on_step, on_evaluation, should_stop)
        layers = [] if blend is None else self._below(blend, area or Image.new("L", photo.size, 255))
        feather = wanted.config.feather
        layers += [
            Layer(Blend.of([region.style]), area_of(photo, region.where, False, feather)) for region in self.regions
        ]
        return LayeredRun(wanted, layers, on_step, on_evaluation, should_stop)

    def _below(self, blend: Blend, area: Image.Image) -> list[Layer]:
        """What lies below the regions."""
        return [Layer(blend, area)] if self.gradient is None else gradient_layers(blend, self.gradient, area)

    def _area(self, wanted: ContentInversion, photo: Image.Image) -> Image.Image | None:
        """The mask of what the loaded styles paint; None where that is everything."""
        config = wanted.config
        check_area(self.mask, config.place, config.invert_mask)
        source = self.mask if self.mask is not None else config.place
        return None if source is None else area_of(photo, source, config.invert_mask == "on", config.feather)


def check_area(mask: Source | None, place: Spot | None, invert_mask: str) -> None:
    """Raises: ConfigError where a mask and a place are given, or neither of them and they are to be turned round."""
    if mask is not None and place is not None:
        raise ConfigError(f"There is a mask and a place ({place.text}); expected one of them.")
    if mask is None and place is None and invert_mask == "on":
        raise ConfigError("invert_mask turns a mask or a place round, and there is none; give --mask or --where.")
