"""One photo painted with a pipeline as often as it takes: for the best of several seeds, or weaker once more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from PIL import Image

from pipelines.pipeline_sigstyle import SigStylePipeline
from pipelines.style_mixin import OnPipeEvaluation, SigStyleOutput
from sigstyle.config import TransferConfig
from sigstyle.diffusion.inversion import ContentTrace
from sigstyle.errors import Cancelled, ConfigError
from sigstyle.imaging.images import Source
from sigstyle.painting.evaluations import OnEvaluation, unwatched
from sigstyle.painting.luck import Attempts, Chosen, lucky
from sigstyle.painting.sparing import sparing
from sigstyle.style.blend import Blend


@dataclass
class Repaint:
    """Paints one photo with a pipeline whenever it is called; `notices` are of the first time, `trace` of the last."""

    pipe: SigStylePipeline
    content: Source
    photo: Image.Image  # the content, opened
    arguments: dict[str, Any]
    trace: ContentTrace | None
    should_stop: Callable[[], bool]
    notices: list[str] = field(default_factory=list)
    _attempts: Attempts | None = None

    def sparing(
        self, config: TransferConfig, blend: Blend | None, on_progress: OnEvaluation
    ) -> tuple[list[Chosen], Any]:
        """What is taken for each image, smaller where memory is short, and how that was. Raises: ConfigError."""
        images = self.arguments["num_images_per_prompt"]
        if config.best_of > 1 and images > 1:
            raise ConfigError(f"best_of is {config.best_of} with {images} images; expected one image to choose.")
        how = sparing(
            self.pipe.base,
            config.size_px,
            lambda size_px: self.lucky(replace(config, size_px=size_px), blend, on_progress),
        )
        return how.made, how

    def kept_trace(self, taken: Sequence[Chosen]) -> ContentTrace | None:
        """The trace, where it is that of the picture taken."""
        return None if "asked" in taken[0].entries else self.trace

    def lucky(self, config: TransferConfig, blend: Blend | None, on_progress: OnEvaluation) -> list[Chosen]:
        """What is taken for each image, judged by the styles of a blend, or where there is none of the regions."""
        self._attempts = Attempts(on_progress, config)
        photos = [self.photo] * self.arguments["num_images_per_prompt"]
        judged = blend or Blend.of([region.style for region in self.arguments["regions"]])
        return lucky(config, judged, photos, self, alike=True)

    def __call__(self, config: TransferConfig) -> list[Image.Image]:
        """The images, with these settings. Raises: Cancelled."""
        attempts = self._attempts or Attempts(unwatched, config)
        attempts.next_one()
        made = self.pipe(
            self.content,
            config=config,
            trace=self.trace if attempts.first else None,
            callback_on_evaluation=watching(attempts, self.should_stop),
            callback_on_step_end_tensor_inputs=["pred_x0"],
            **self.arguments,
        )
        output = cast(SigStyleOutput, made)
        if output.interrupted:
            raise Cancelled("The transfer was stopped.")
        if attempts.first:
            self.notices = output.notices
        self.trace = cast(ContentTrace | None, output.trace)
        return output.images


def watching(on_progress: OnEvaluation | None, should_stop: Callable[[], bool]) -> OnPipeEvaluation:
    """A callback after evaluations that says how far it is, and stops the pipeline when it should."""

    def watch(pipe: Any, done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(done, total)
        if should_stop():
            pipe.stop()

    return watch
