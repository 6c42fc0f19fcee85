"""The style that a capture ends in: its offsets and token, what is measured after it, and how it was made."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

from sigstyle.base.model import default_size_px
from sigstyle.imaging.images import thumbnail_uri
from sigstyle.learning.learner import Learner
from sigstyle.learning.painting import Painting
from sigstyle.learning.provenance import provenance
from sigstyle.learning.statistics import style_statistics
from sigstyle.style.factors_file import split_offsets
from sigstyle.style.similar import look
from sigstyle.style.style import Style


def learned_style(
    learner: Learner,
    name: str,
    images: Sequence[Image.Image],
    painting: Painting | None,
    should_stop: Callable[[], bool],
) -> Style | None:
    """The style as `learner` knows it now; None when `should_stop` turned true while the images were measured."""
    base, config = learner.base, learner.config
    with torch.no_grad():
        offsets, decoder_offsets = split_offsets(learner.offsets())
    measured: dict[str, Any] | None
    if painting is not None:
        measured = {"palette": painting.palette, "brushwork": painting.brushwork}
    else:
        measured = style_statistics(base, images, config.size_px or default_size_px(base), should_stop)
    if measured is None:
        return None
    return Style(
        name=name,
        token=learner.token,
        offsets=offsets,
        domain=config.domain,
        base_fingerprint=base.fingerprint,
        base_name=base.name,
        decoder_offsets=decoder_offsets,
        instant=None if learner.given is None else learner.given.instant,
        **measured,
        metadata=_metadata(learner, images) | ({} if painting is None else look(painting.measured.vector)),
        thumbnail=thumbnail_uri(images[0]),
    )


def _metadata(learner: Learner, images: Sequence[Image.Image]) -> dict[str, Any]:
    """How the style was made, as plain values."""
    losses, progression = learner.state.losses, learner.state.progression
    some = max(1, len(losses) // 10)
    painted = not learner.config.classic and progression.painting is not False
    early = {} if progression.step == learner.config.steps else {"finished_at": progression.step}
    if progression.best_score is not None:
        early |= {"kept_step": progression.best_step, "kept_score": progression.best_score}
    return {
        **early,
        "config": learner.config.to_dict(),
        **provenance(learner.base, images),
        "autocast": progression.autocast,
        "autocast_reason": progression.autocast_reason,
        "photos_painted": painted,
        "checkpointing": progression.checkpointing,
        "lr_scale": progression.lr_scale,
        "loss_first": sum(losses[:some]) / some,
        "loss_last": sum(losses[-some:]) / some,
    }
