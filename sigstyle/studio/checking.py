"""Files looked at when they are dropped, each by itself: what can be used, and sentences on what cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sigstyle.errors import ConfigError, ImageError
from sigstyle.imaging.images import load_image
from sigstyle.studio.limits import check_counts


@dataclass(frozen=True)
class Checked:
    """Dropped files: those that can be used, and about each of the others, and what is worth saying, a sentence."""

    good: tuple[Path, ...]
    problems: tuple[str, ...]
    notices: tuple[str, ...]


def checked(files: Sequence[Path]) -> Checked:
    """Look at image files. Never raises: one bad file does not keep the others out."""
    good, problems, notices = list[Path](), list[str](), list[str]()
    for file in files:
        try:
            check_counts(len(good) + 1)
            image = load_image(file)
        except (ImageError, ConfigError) as error:
            problems.append(str(error) if file.name in str(error) else f"{file.name}: {error}")
            continue
        good.append(file)
        if "notice" in image.info:
            notices.append(image.info["notice"])
    return Checked(tuple(good), tuple(problems), tuple(notices))
