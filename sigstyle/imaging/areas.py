"""Areas: the mask of what is to be painted, from a place in words or from a mask, turned round and softened."""

import numpy as np
from PIL import Image, ImageChops

from sigstyle.errors import ImageError
from sigstyle.imaging import cutout
from sigstyle.imaging.images import load_mask
from sigstyle.imaging.masks import matching
from sigstyle.imaging.matting import matte
from sigstyle.imaging.opening import Source
from sigstyle.places import Spot

_OTHER_WAYS = "Point at it (--point X,Y), draw a box around it (--box X,Y,W,H) or give a mask (--mask)."


def area_of(photo: Image.Image, wanted: Source | Spot, invert: bool = False, feather_px: float = 0.0) -> Image.Image:
    """The mask ('L', as large as the photo, white is what is painted) of a place in the photo, or of a mask.

    `info["notice"]` says what was taken otherwise than asked. It softens inwards alone: what is black stays black.
    Raises: ImageError for a mask of another aspect, or where nothing stands out; ConfigError for a place outside.
    """
    found = _of_place(photo, wanted) if isinstance(wanted, Spot) else matching(load_mask(wanted), photo.size)
    notice = found.info.get("notice")
    if invert:
        found = ImageChops.invert(found)
    if feather_px > 0:
        found = _softened(found, feather_px)
    if notice is not None:
        found.info["notice"] = notice
    return found


def _of_place(photo: Image.Image, place: Spot) -> Image.Image:
    if place.name:
        cut = cutout.subject(photo)
        if cut is None:
            raise ImageError(
                f"No subject stands out in this photo, so there is no {place.name} to paint. {_OTHER_WAYS}"
            )
        mask = matte(photo, cut)
        return ImageChops.invert(mask) if place.name == "background" else mask
    at = place.within(photo.size)
    if len(at) == 2:
        cut = cutout.at_point(photo, (at[0], at[1]))
        if cut is None:
            raise ImageError(f"Nothing can be told apart at {place.text}. Point elsewhere, or draw a box or a mask.")
        return matte(photo, cut)
    cut = cutout.in_box(photo, (at[0], at[1], at[2], at[3]))
    if cut is not None:
        return matte(photo, cut)
    mask = Image.new("L", photo.size)
    ends = (at[0], at[1], at[0] + at[2], at[1] + at[3])
    corners = [round(share * side) for share, side in zip(ends, photo.size * 2, strict=True)]
    mask.paste(255, (corners[0], corners[1], max(corners[2], corners[0] + 1), max(corners[3], corners[1] + 1)))
    mask.info["notice"] = f"No object was found in the box {place.text}: all of the box is painted."
    return mask


def _softened(mask: Image.Image, width_px: float) -> Image.Image:
    """`mask`, less of it the nearer it is to where it is black."""
    import cv2

    values = np.asarray(mask)
    if values.all():
        return mask
    inside = cv2.distanceTransform((values > 0).astype(np.uint8), cv2.DIST_L2, 5)
    way = np.clip(inside / (width_px + 1), 0, 1)
    ramp = (way * way * (3 - 2 * way) * 255).round().astype(np.uint8)
    return Image.fromarray(np.minimum(values, ramp))
