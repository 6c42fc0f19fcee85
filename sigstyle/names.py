"""Names of files: the one place where words become a part of a path, on any system."""

import re
import unicodedata

LONGEST_BYTES = 230  # of 255: the small copy of a picture and the temporary file beside that have longer names
_UNUSABLE = re.compile(r'[<>:"/\\|?*]')
_DEVICES = {
    *("con", "prn", "aux", "nul", "conin$", "conout$"),
    *(f"{kind}{number}" for kind in ("com", "lpt") for number in (*"0123456789", *"¹²³")),
}


def file_part(text: str, letters: int = 100, size: int = 200, otherwise: str = "unnamed") -> str:
    """`text` as one part of a path: no separators, wildcards or control characters, no device's name, short enough.

    Units: size in bytes, which are what a file system counts.
    """
    printable = "".join(letter if letter.isprintable() else "_" for letter in text)
    part = shortened(_UNUSABLE.sub("_", printable).strip(" .")[:letters], size).rstrip(" .")
    stem, dot, rest = part.partition(".")
    if stem.rstrip().casefold() in _DEVICES:
        part = shortened(f"{stem.rstrip()}-1{dot}{rest}", size)
    return part or otherwise


def shortened(text: str, size: int) -> str:
    """`text` without what is over `size` bytes; no letter is cut in two."""
    return text.encode()[:size].decode(errors="ignore")


def is_file_part(text: str) -> bool:
    """Whether `text` can be a file's name as it is."""
    return file_part(text, LONGEST_BYTES, LONGEST_BYTES) == text


def same_file_key(name: str) -> str:
    """Equal for names that are one file on some system: upper and lower case, composed and decomposed letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
