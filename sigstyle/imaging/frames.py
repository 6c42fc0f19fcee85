"""Pictures of several frames or pages, of which the first is taken: found and counted in bounded time."""

from PIL import Image

_MOST_FRAMES = 1000
_MOST_BLOCKS = 2_000_000


def frames_notice(name: str, image: Image.Image, data: bytes) -> str:
    """A line about the frames or pages that are left out, or ''.

    Raises: whatever Pillow does for a second page that is broken.
    """
    if image.format == "TIFF":
        return f"{name} has several pages; its first is used." if _second_page(image) else ""
    if image.format not in ("GIF", "PNG", "WEBP", "AVIF"):
        return ""
    frames = _gif_frames(data) if image.format == "GIF" else getattr(image, "n_frames", 1)
    if frames < 2:
        return ""
    count = frames if frames < _MOST_FRAMES else f"at least {_MOST_FRAMES}"
    return f"{name} is animated; its first frame of {count} is used."


def _second_page(image: Image.Image) -> bool:
    """Whether a TIFF has a second page; only that one is looked at, so that a long chain costs nothing."""
    try:
        image.seek(1)
    except EOFError:
        return False
    image.seek(0)
    return True


def _gif_frames(data: bytes) -> int:
    """Frames of a GIF by its blocks alone, counted up to a limit."""
    place, frames, blocks = 13 + _table(data[10]), 0, 0
    while place < len(data) and frames < _MOST_FRAMES and blocks < _MOST_BLOCKS:
        kind = data[place]
        if kind == 0x2C and place + 10 < len(data):
            frames, place = frames + 1, place + 11 + _table(data[place + 9])
        elif kind == 0x21:
            place += 2
        else:
            break
        while place < len(data) and data[place] and blocks < _MOST_BLOCKS:
            place, blocks = place + 1 + data[place], blocks + 1
        place += 1
    return frames


def _table(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
