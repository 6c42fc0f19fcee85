"""What can go wrong, named. Every message says what was found, what was expected and what to do."""


class SigStyleError(Exception):
    """Anything this library reports on purpose."""


class ConfigError(SigStyleError):
    """A setting, a prompt or a base that cannot be used."""


class ImageError(SigStyleError):
    """An image that cannot be read or is not usable."""


class StyleFileError(SigStyleError):
    """A style file that is damaged, foreign or unsafe."""


class BaseMismatchError(SigStyleError):
    """A style used with another base than the one it was captured on."""


class CaptureError(SigStyleError):
    """A capture that diverged."""


class PaintingError(SigStyleError):
    """A picture that cannot be made: values that are not finite, or too little memory."""


class Cancelled(SigStyleError):
    """Work stopped because the caller asked for it."""


class BusyError(SigStyleError):
    """More work than may wait."""


def first_line(error: Exception) -> str:
    """What a foreign error says, in its first line and without a full stop; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
