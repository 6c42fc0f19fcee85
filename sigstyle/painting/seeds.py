"""Which random numbers belong to which image of a run."""

from collections.abc import Sequence

import torch

from sigstyle.errors import ConfigError

Generators = torch.Generator | Sequence[torch.Generator]  # one for all images of a run, or one for each

_NEXT_IMAGE = 0x9E3779B97F4A7C15  # far from seeds that people choose


def check_generators(generator: Generators, images: int) -> None:
    """Raises ConfigError unless there are images, and one generator for all of them or one for each."""
    count = 1 if isinstance(generator, torch.Generator) else len(generator)
    if images < 1 or (not isinstance(generator, torch.Generator) and count != images):
        raise ConfigError(
            f"num_images_per_prompt is {images}, with {count} generators; expected at least one image, and one "
            "generator or as many as images."
        )


def spent(generator: Generators) -> Generators:
    """Generators for one run, with which those given are done: they have moved on, so the next run differs.

    One that nothing was drawn from gives its seed, so its pictures are those of that seed; any other gives a new one.
    """
    return _spent(generator) if isinstance(generator, torch.Generator) else [_spent(own) for own in generator]


def _spent(generator: torch.Generator) -> torch.Generator:
    own = torch.Generator(generator.device).manual_seed(generator.initial_seed())
    untouched = torch.equal(own.get_state(), generator.get_state())
    drawn = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    return own if untouched else own.manual_seed(drawn)


def fresh_generators(generator: Generators, images: int) -> list[torch.Generator]:
    """A CPU generator of fresh noise for each image, the first drawn from the seed of `generator` alone.

    It does not follow the state of `generator`, so a picture is the same whether its inversion was made or reused.
    """
    if isinstance(generator, torch.Generator):
        seeds = [generator.initial_seed() + _NEXT_IMAGE * i for i in range(images)]
    else:
        seeds = [own.initial_seed() for own in generator]
    return [torch.Generator().manual_seed((seed + _NEXT_IMAGE) % 2**63) for seed in seeds]
