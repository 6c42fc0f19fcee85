"""A photo in every style, small and one after the other, so that one can look before one chooses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sigstyle import api
from sigstyle.config import TransferConfig
from sigstyle.errors import SigStyleError
from sigstyle.imaging.images import Source, load_image
from sigstyle.studio.lane import Job
from sigstyle.studio.paint import take_photos
from sigstyle.studio.studio import Studio, Who

DRAFT_PX = 192  # the short side
_MARGIN_PX = 8


@dataclass(frozen=True)
class Draft:
    """A photo in one style, as a small picture."""

    style: str
    image: Image.Image


def drafts(studio: Studio, who: Who, photo: Source, styles: Sequence[str], base: str) -> Job[list[Draft]]:
    """A photo in these styles, as far as they paint on this base; `detail` of the updates holds the drafts so far.

    It gives way to other work. Raises: SigStyleError for anything that can be known to be wrong before it begins.
    """
    library, key = studio.library(who), studio.bases.check(base)
    (kept,) = take_photos(studio.admitted(who), [photo])
    able = [entry for entry in map(library.get, styles) if "default" in entry.style.abilities]
    under = studio.loras(who).chosen()
    config = TransferConfig(size_px=DRAFT_PX, margin_px=_MARGIN_PX, protect="none", leak_bound=1.0)

    def work(job: Job[list[Draft]]) -> list[Draft]:
        base, made = studio.bases.get(key), list[Draft]()
        fitting = [entry for entry in able if entry.style.base_fingerprint == base.fingerprint]
        image = load_image(kept.path)
        image.thumbnail((8 * DRAFT_PX, 2 * DRAFT_PX), Image.Resampling.LANCZOS)
        loras, over = under.opened(base), under.told_apart(base)
        for number, entry in enumerate(fitting):
            told = (base.fingerprint, over, kept.path.stem, entry.style.hash)
            found = studio.drafts.get(who.person, told)
            if found is None:
                job.make_way()
                try:
                    how: dict[str, Any] = {"base": base, "loras": loras, "should_stop": job.should_stop}
                    result = api.transfer(image, entry.style, config=config, **how)
                except SigStyleError:
                    if job.should_stop():
                        raise
                    continue  # one style that cannot paint it does not keep the others from being seen
                found = result.images[0]
                studio.drafts.put(who.person, told, found)
            made.append(Draft(entry.name, found))
            job.report(done=number + 1, total=len(fitting), detail=tuple(made))
        return made

    return studio.submit(who, "drafts", work, gives_way=True)
