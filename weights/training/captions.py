"""Captions from file names, stamp texts and the picture's own colours."""

import re

import numpy as np

OPENING = {
    "photo": "a photo of",
    "painting": "a painting of",
    "art": "an illustration of",
    "clipart": "clip art of",
    "texture": "a texture of",
    "sky": "a photo of",
}
NOISE = re.compile(
    r"\b(by|jpg|png|img|dsc|new|large|small|icon|stktex|stklib|stk|diff|diffuse|tex|texture|tileable|seamless|"
    r"generic|copy|bg|back|final|hd|sfiera|harro|spfld|striker|iridium|usr|tile|tiles|pic|image|images|contents|dark|c|a|b|d|e|x|y|z|\d+)\b"
)
AUTHOR = re.compile(r"_by_.*$|-by-.*$", re.IGNORECASE)
PLURAL = {"mountain": "mountains", "field": "fields", "hill": "hills", "tree": "trees", "cloud": "clouds"}
HUES = ("red", "orange", "yellow", "green", "green", "cyan", "blue", "blue", "purple", "pink", "red")


def words_of(path: str) -> str:
    """Turn a file's name (or, where it says nothing, its folder's) into plain words."""
    parts = path.rsplit(".", 1)[0].split("/")
    for part in reversed(parts[-4:]):
        text = AUTHOR.sub("", part)
        text = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
        text = re.sub(r"[^A-Za-z]+", " ", text).lower()
        text = " ".join(NOISE.sub(" ", text).split())
        if len(text) > 2:
            return " ".join(text.split()[:6])
    return ""


def colours_of(rgb: np.ndarray) -> str:
    """Name the one or two colours that fill most of an image ``[height, width, 3]`` of bytes."""
    pixels = rgb[::8, ::8].reshape(-1, 3).astype(np.float32) / 255
    high, low = pixels.max(1), pixels.min(1)
    chroma = high - low
    shade = np.where(high < 0.22, "black", np.where(low > 0.8, "white", "grey"))
    red, green, blue = pixels.T
    safe = np.maximum(chroma, 1e-6)
    warm, cold = ((green - blue) / safe) % 6, (red - green) / safe + 4
    sector = np.where(high == red, warm, np.where(high == green, (blue - red) / safe + 2, cold))
    hue = np.array(HUES)[np.clip((sector / 6 * 10 + 0.5).astype(int), 0, 10)]
    hue = np.where((hue == "orange") & (high < 0.6), "brown", hue)
    label = np.where(chroma < 0.14, shade, hue)
    found, counts = np.unique(label, return_counts=True)
    order = np.argsort(-counts)
    shown = [str(found[i]) for i in order[:2] if counts[i] > 0.22 * len(label)]
    return " and ".join(shown)


def caption(kind: str, name: str, subject: str) -> str:
    """Build the caption of a picture from its kind, its own name and its group's subject."""
    name = PLURAL.get(name, name) if kind == "photo" else name
    said = " ".join(part for part in (name, subject if subject not in name else "") if part)
    if not said:
        said = {"photo": "nature", "sky": "the sky", "texture": "a surface"}.get(kind, "something")
    return f"{OPENING[kind]} {said}"
