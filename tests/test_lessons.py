import pytest
import torch
from PIL import Image
from torch import Tensor

from sigstyle.base.model import BaseModel
from sigstyle.config import CaptureConfig
from sigstyle.learning.learner import Learner
from sigstyle.learning.lessons import Remembering
from sigstyle.learning.stepper import Stepper
from sigstyle.style.attach import frozen, training

CONFIG = CaptureConfig.preset("classic", steps=6, batch_size=2, crops=4, size_px=64, autocast="off")


class Places:
    """Samples that are nothing like noisy latents."""

    def __init__(self, places: Tensor) -> None:
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def split(self, chunks: int) -> "list[Places]":
        return [Places(part) for part in self.places.tensor_split(min(chunks, len(self)))]


class Drift:
    """A lesson of another kind: the token is drawn to places that come at random."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def draw(self, generator: torch.Generator) -> Places:
        return Places(torch.rand(3, generator=generator))

    def loss(self, samples: Places) -> Tensor:
        return (self.learner.state.token - samples.places.view(-1, 1, 1)).square().mean()


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_the_losses_of_lessons_add_up_whole_or_in_pieces(base: BaseModel, painting: Image.Image, chunks: int) -> None:
    with frozen(base.text_encoder):
        learner = Learner(base, CONFIG, "<wave>")
        lessons = [Remembering.of(learner, [painting]), Drift(learner)]
        generator = torch.Generator()
        generator.set_state(learner.state.generator.get_state())
        with torch.no_grad():
            expected = sum(lesson.loss(lesson.draw(generator)).item() for lesson in lessons)
        learner.state.progression.chunks = chunks
        before = learner.state.token.detach().clone()
        with training(base.unet, learner.state.hypernet) as refresh:
            found = Stepper(learner.state, CONFIG, lessons).step(refresh)
    assert found == pytest.approx(expected, rel=1e-5)
    assert learner.state.losses == [found]
    assert not torch.equal(learner.state.token, before)
