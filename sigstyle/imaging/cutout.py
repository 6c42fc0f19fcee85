"""Cutting an object out of a photo: GrabCut on a small copy, seeded by a subject that stands out, a box or a point."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.bool_]

_LONG_SIDE_PX = 360  # of the copy that is cut: edges are found anew in the photo itself
_ROUNDS = 5
_FLAT = 4  # levels of 256 between which there is nothing to tell apart
_LEAST, _MOST = 0.004, 0.93  # shares of the photo that an object has
_RIM = 0.03  # share of the sides that is background where a subject is sought
_CRUMB = 0.002  # share of the photo that is too small to be a part of an object, or a hole in it
_GROUPS = 5  # of colours along the rim
_DRIFT = 2.2  # how much farther colours may go in small steps, as a sky does towards the horizon
_REACH = np.array([18.0, 9.0, 9.0])  # in Lab, of colours that are taken for one
_STEPS = (0.12, 0.6, 2.0)  # of colour from pixel to pixel, in units of that; what is rough needs large ones
_FEW = 0.02  # share of the photo that is reached at least before larger steps are taken
_SEED = 0.012  # radius of a point, as a share of the long side


def subject(photo: Image.Image) -> Mask | None:
    """Where the photo's subject is, on a small copy; None where nothing stands out.

    What differs from the colours along the rim and lies near the middle is taken for it, and cut out.

    Source: Rother, Kolmogorov & Blake, "GrabCut" (2004); for the seeds Zhu et al., "Saliency Optimization from Robust
    Background Detection" (2014), whose background is likewise what the border shows.
    """
    small = _small(photo)
    stands_out = _standing_out(small)
    found = _cut(small, _labels_of(stands_out))
    return _plausible(_largest(_whole(found), stands_out))


def in_box(photo: Image.Image, box: tuple[float, float, float, float]) -> Mask | None:
    """The object in a box (left, top, width, height in shares of the sides), on a small copy; None where none is."""
    import cv2

    small = _small(photo)
    height, width = small.shape[:2]
    left, top = (min(side - 2, int(at * side)) for at, side in ((box[0], width), (box[1], height)))
    right, bottom = (math.ceil(at * side) for at, side in ((box[0] + box[2], width), (box[1] + box[3], height)))
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    labels[top:bottom, left:right] = cv2.GC_PR_FGD
    if (labels == cv2.GC_BGD).sum() < 50:  # a box of the whole photo says nothing of the background
        return subject(photo)
    return _plausible(_whole(_cut(small, labels)))


def at_point(photo: Image.Image, point: tuple[float, float]) -> Mask | None:
    """What lies at a point (x, y in shares of the sides), on a small copy: the subject, or what is of its colours."""
    import cv2

    small = _small(photo)
    height, width = small.shape[:2]
    x, y = min(width - 1, int(point[0] * width)), min(height - 1, int(point[1] * height))
    whole = subject(photo)
    if whole is not None and whole[y, x]:
        return _part_at(whole, x, y)
    alike = _alike(small, x, y)
    labels = np.where(alike, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    far = _distance(alike) > 0.4 * max(height, width)
    labels[far] = cv2.GC_BGD
    cv2.circle(labels, (x, y), max(2, round(_SEED * max(height, width))), cv2.GC_FGD, -1)
    return _plausible(_part_at(_whole(_cut(small, labels)) | alike, x, y))


def _small(photo: Image.Image) -> NDArray[np.uint8]:
    scale = min(1.0, _LONG_SIDE_PX / max(photo.size))
    size = (max(8, round(photo.width * scale)), max(8, round(photo.height * scale)))
    return np.ascontiguousarray(np.asarray(photo.convert("RGB").resize(size, Image.Resampling.BOX)))


def _lab(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    import cv2

    smooth = cv2.bilateralFilter(small, 7, 40, 5)
    return np.asarray(cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def _standing_out(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each place is from the colours along the rim, less towards the rim; 0 to 1."""
    import cv2

    lab, (height, width) = _lab(small), small.shape[:2]
    band = max(2, round(_RIM * min(height, width)))
    rim = np.zeros((height, width), bool)
    rim[:band] = rim[:, :band] = rim[:, -band:] = True  # subjects often stand on the lower edge
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    edge = np.ascontiguousarray(lab[rim])
    _, which, _ = cv2.kmeans(edge, _GROUPS, None, stop, 3, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    nearest = np.full(lab.shape[:2], np.inf, np.float32)
    for group in range(_GROUPS):
        members = edge[which[:, 0] == group]
        share = len(members) / len(edge)
        if share < 0.04:  # what touches the rim in one place may well be the subject
            continue
        spread = np.cov(members.T) + np.diag([60.0, 12.0, 12.0])
        off = lab - members.mean(0)
        distance = np.sqrt(np.einsum("hwi,ij,hwj->hw", off, np.linalg.inv(spread), off))
        nearest = np.minimum(nearest, distance)
    y, x = np.mgrid[0:height, 0:width]
    middle = np.exp(-(((x / width - 0.5) / 0.36) ** 2) - ((y / height - 0.55) / 0.42) ** 2)
    felt = cv2.GaussianBlur(nearest.astype(np.float32), (0, 0), 0.012 * max(height, width))
    felt = np.minimum(felt, np.quantile(felt, 0.98)) * (0.25 + 0.75 * middle)
    return ((felt - felt.min()) / max(1e-6, float(np.ptp(felt)))).astype(np.float32)


def _labels_of(stands_out: NDArray[np.float32]) -> NDArray[np.uint8]:
    import cv2

    level, _ = cv2.threshold((stands_out * 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    labels = np.where(stands_out * 255 > level, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[stands_out * 255 < 0.45 * level] = cv2.GC_BGD
    band = max(2, round(0.012 * min(labels.shape)))
    for side in (labels[:band], labels[:, :band], labels[:, -band:]):
        side[side != cv2.GC_PR_FGD] = cv2.GC_BGD
    return labels


def _cut(small: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Mask:
    """GrabCut from labels, the same for the same input."""
    import cv2

    known = np.isin(labels, (cv2.GC_BGD, cv2.GC_PR_BGD))
    flat = int(np.ptp(small.reshape(-1, 3), axis=0).max()) < _FLAT  # on which GrabCut takes long to find nothing
    if flat or known.all() or not known.any():
        return np.zeros(labels.shape, bool)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    found, _, _ = cv2.grabCut(small, labels.copy(), None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore
    return np.isin(found, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _alike(small: NDArray[np.uint8], x: int, y: int) -> Mask:
    """What is reached from a place in small steps of colour, and is not far from it in colour."""
    import cv2

    lab = _lab(small)
    around = lab[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].reshape(-1, 3)
    reach = _REACH + np.minimum(1.5 * around.std(0), _REACH / 2)
    own, (height, width) = np.median(around, 0), lab.shape[:2]
    for step in _STEPS:
        far = np.abs(lab - own) >= (_DRIFT if step == _STEPS[0] else 1) * reach
        close = np.where(far.any(2), 0, 1).astype(np.uint8)
        close[y, x] = 1
        frame = np.ones((height + 2, width + 2), np.uint8)
        frame[1:-1, 1:-1] = 1 - close
        steps = tuple(float(value) for value in reach * step)
        flags = 4 | cv2.FLOODFILL_MASK_ONLY | (2 << 8)
        cv2.floodFill(lab.copy(), frame, (x, y), (0, 0, 0), steps, steps, flags)
        if (frame == 2).mean() > _FEW:
            break
    return frame[1:-1, 1:-1] == 2


def _distance(mask: Mask) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def _whole(mask: Mask) -> Mask:
    """Without crumbs, and with small holes filled."""
    import cv2

    clean: NDArray[np.uint8] = mask.astype(np.uint8)
    for value in (1, 0):
        count, where, stats, _ = cv2.connectedComponentsWithStats((clean == value).astype(np.uint8))
        small = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] < _CRUMB * mask.size]
        clean[np.isin(where, small)] = 1 - value
    return clean.astype(bool)


def _largest(mask: Mask, weight: NDArray[np.float32]) -> Mask:
    """The parts that count: the one with most of `weight`, and those with a quarter of it."""
    import cv2

    count, where = cv2.connectedComponents(mask.astype(np.uint8))
    mass = np.bincount(where.ravel(), weight.ravel(), count)
    mass[0] = 0
    return np.isin(where, np.flatnonzero(mass > 0.25 * mass.max())) & mask if count > 1 else mask


def _part_at(mask: Mask, x: int, y: int) -> Mask:
    """The part of a mask that a place belongs to."""
    import cv2

    _, where = cv2.connectedComponents(mask.astype(np.uint8))
    return (where == where[y, x]) & mask


def _plausible(mask: Mask) -> Mask | None:
    return mask if _LEAST <= mask.mean() <= _MOST else None
