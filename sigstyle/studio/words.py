"""What the app says about time, memory and progress, in plain words."""

from sigstyle.studio.lane import Update


def duration(seconds: float) -> str:
    """A rough time: 'a moment', '40 s', '3 min', '2 h'."""
    if seconds < 2:
        return "a moment"
    if seconds < 90:
        return f"{round(seconds) if seconds < 10 else round(seconds / 5) * 5} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h"


def counted(number: int, noun: str) -> str:
    """'1 photo', '3 photos'."""
    return f"{number} {noun}{'s' * (number != 1)}"


def progress(update: Update, doing: str) -> str:
    """One line on where a job stands; `doing` is a word such as 'Painting'."""
    if update.state == "waiting":
        return "Starting …" if update.before == 0 else f"Waiting: {update.before} before you"
    if update.state == "stopped":
        return "Stopped."
    if update.state == "failed":
        return "That did not work."
    if update.state == "done":
        return "Done."
    parts = [f"{doing} {update.note}".strip()]
    if update.total:
        parts.append(f"{update.done} of {update.total}")
    if update.eta_s is not None:
        parts.append(f"about {duration(update.eta_s)} left")
    return " · ".join(parts)


def memory(bytes_: float) -> str:
    """'45 MB', '3.4 GB' or '12 kB'."""
    if bytes_ < 1e6:
        return f"{bytes_ / 1e3:.0f} kB"
    return f"{bytes_ / 1e6:.0f} MB" if bytes_ < 1e9 else f"{bytes_ / 1e9:.1f} GB"
