"""What a picture costs, counted in UNet evaluations: the one place that knows."""

from dataclasses import dataclass

from sigstyle.base.model import BaseModel, default_size_px, side_multiple_px
from sigstyle.base.speed import Speed
from sigstyle.config import GenerateConfig, TrainingFreeConfig, TransferConfig
from sigstyle.diffusion.inversion import evaluations_per_step
from sigstyle.imaging.images import fitting_size
from sigstyle.painting.reference import REFERENCE_EVERY
from sigstyle.painting.sizes import FINE_TILE_PX, Sizes, fine_tiling, rounded_margin_px, work_tiling


@dataclass(frozen=True)
class Cost:
    """UNet evaluations of one picture, as calls of the UNet and as latents evaluated: guidance takes two in one call.

    `inverting` is saved where a trace of the photo is at hand, `reading` only where one in the same style is;
    `denoising` counts the steps, each of which evaluates `rows` latents; `referring` counts style images seen beside
    them, at their own size; `refining` counts the tiles of a picture larger than it is painted; `repainting` the
    evaluations of painting over what was denoised.
    """

    inverting: int
    denoising: int
    referring: int = 0
    rows: int = 1
    reading: int = 0
    refining: int = 0
    repainting: int = 0

    @property
    def evaluations(self) -> int:
        """Latents evaluated for a photo that was not painted before."""
        return self.inverting + self.further

    @property
    def further(self) -> int:
        """Latents evaluated for one more style on a photo whose trace is at hand."""
        return self.reading + self.denoising * self.rows + self.referring + self.refining + self.repainting

    @property
    def calls(self) -> int:
        """Calls of the UNet for a photo that was not painted before: what progress counts."""
        return self.inverting + self.further_calls

    @property
    def further_calls(self) -> int:
        """Calls of the UNet for one more style on a photo whose trace is at hand."""
        return self.reading + self.denoising + self.referring + self.refining + self.repainting


def transfer_cost(config: TransferConfig, references: int = 1, tiles: int = 1, fine_tiles: int = 0) -> Cost:
    """What a transfer with these settings costs.

    `references` is how many style images the blend looks at; a painting is made in `tiles`, nearly always one, and
    refined in `fine_tiles`, as `painted_cost` finds them. Each of `best_of` seeds costs the same. A picture that is
    painted once more because of a leak costs twice.
    """
    tries = config.best_of
    if config.method == "paint":
        steps, fine = tries * config.steps * tiles, tries * fine_tiles
        return Cost(inverting=0, denoising=steps, reading=tries * tiles, refining=fine)
    looks = -(-config.steps // REFERENCE_EVERY) if config.reference * config.strength > 0 else 0
    return Cost(
        inverting=tries * config.steps * evaluations_per_step(config.inversion_iterations),
        denoising=tries * config.steps,
        referring=tries * references * looks,
        rows=_rows(config.guidance_scale),
    )


def painted_cost(config: TransferConfig, base: BaseModel, photo: tuple[int, int]) -> Cost:
    """What painting a photo of (width, height) costs."""
    sizes, margin_px = Sizes.of(photo, base, config), rounded_margin_px(config.margin_px, base)
    stages = sizes.stages if config.strength > 0 else []
    fine_tiles = sum(fine_tiling(stage.canvas(base, margin_px), base).count for stage in stages)
    return transfer_cost(config, 1, work_tiling(sizes.work(photo, base, margin_px), base).count, fine_tiles)


def picture_s(config: TransferConfig, base: BaseModel, photo: tuple[int, int], speed: Speed) -> float:
    """Seconds that a picture of a photo of (width, height) takes about; `speed` is that of a square of 512 px.

    A tile of a large picture is encoded and decoded, as the whole is where it is painted.
    """
    if config.method != "paint":
        side = config.size_px or default_size_px(base)
        width, height = fitting_size(photo, side, side_multiple_px(base))
        return speed.scaled(width * height / FINE_TILE_PX**2).seconds(transfer_cost(config).evaluations, 1, 1)
    sizes, margin_px = Sizes.of(photo, base, config), rounded_margin_px(config.margin_px, base)
    width, height = sizes.work(photo, base, margin_px)
    whole, tiles = speed.scaled(width * height / FINE_TILE_PX**2), painted_cost(config, base, photo).refining
    tries = config.best_of
    return tries * whole.seconds(config.steps + 1, 1, 1) + speed.seconds(tiles, tiles, tiles)


def generate_cost(config: GenerateConfig, images: int = 1) -> Cost:
    """What a prompt painted with these settings costs; `images` are denoised at once and painted one by one."""
    painted = config.method == "paint" and config.strength > 0
    repainting = images * transfer_cost(TransferConfig()).calls if painted else 0
    return Cost(inverting=0, denoising=config.steps, rows=_rows(config.guidance_scale), repainting=repainting)


def training_free_cost(config: TrainingFreeConfig) -> Cost:
    """What a training-free transfer with these settings costs: photo and style image are inverted, each time anew."""
    return Cost(2 * config.steps * evaluations_per_step(config.inversion_iterations), config.steps)


def _rows(guidance_scale: float) -> int:
    return 2 if guidance_scale > 1 else 1
