"""Learning that lets others pass, and that is seen on one's own photo; neither changes a bit of the style."""

from pathlib import Path

import pytest
from conftest import make_painting
from test_studio import ANNA, BERT, LEARNING, QUICK, base, learned, photo, studio

from sigstyle.studio.learn import learn
from sigstyle.studio.paint import restyle
from sigstyle.studio.studio import Studio

__all__ = ["base", "photo", "studio"]  # fixtures


def test_a_capture_lets_a_picture_pass_is_seen_on_ones_own_photo_and_ends_as_if_neither_were(
    studio: Studio, photo: Path
) -> None:
    alone = learned(studio).wait()
    studio.library(ANNA).remove("Great Wave")
    settings = {**LEARNING, "preview_every": 0, "start": "instant"}  # a base without a hypernetwork begins at zero
    job = learn(studio, ANNA, [make_painting()], "Great Wave", "mini", settings, photo)
    previews, pictures = {}, []
    for update in job.follow(every_s=0):
        if update.preview is not None:
            previews[id(update.preview)] = update.preview
        if update.done >= 1 and not pictures:
            pictures.append(restyle(studio, BERT, [photo], "wave", "mini", QUICK))
    assert pictures[0].wait() and previews
    assert all(preview.size[0] > preview.size[1] for preview in previews.values()), "the photo, and no crop of a bank"
    style = job.result().style
    assert style.hash == alone.style.hash and "finished_at" not in style.metadata


def test_a_hypernetwork_shows_the_style_before_the_first_step(
    studio: Studio, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstyle import api
    from sigstyle.studio import learn as module

    asked: list[bool] = []
    known = studio.library(ANNA).get("oil").style

    def capture(*images: object, instant: bool = False, **settings: object) -> object:
        asked.append(instant)
        return known

    monkeypatch.setattr(module, "hypernetwork_of", lambda fingerprint: object())
    monkeypatch.setattr(api, "capture", capture)
    settings = {**LEARNING, "start": "instant"}
    job = learn(studio, ANNA, [make_painting()], "Great Wave", "mini", settings, photo)
    notes = [update.note for update in job.follow(every_s=0) if update.preview is not None]
    assert asked == [True, False] and job.result().own and notes
