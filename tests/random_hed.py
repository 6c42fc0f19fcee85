"""The network of the judge vgg16-hed, small and random, in a file laid out as the package's is."""

from pathlib import Path

import h5py
import numpy as np

from sigstyle.scoring.vgg16_hed import CONVOLUTIONS

WIDTHS = (4, 6, 8, 8, 8)


def save_random_hed(path: Path) -> Path:
    """Writes the file; the channels of its five blocks are `WIDTHS`."""
    random, given = np.random.default_rng(0), 3
    with h5py.File(path, "w") as file:
        for block, (count, made) in enumerate(zip(CONVOLUTIONS, WIDTHS, strict=True), 1):
            for index in range(count):
                folder = file.create_group(f"block{block}/layers/conv2d{f'_{index}' if index else ''}/vars")
                kernel = random.normal(0, (2 / (9 * given)) ** 0.5, (3, 3, given, made))
                folder["0"], folder["1"] = kernel.astype(np.float32), random.normal(0, 1, made).astype(np.float32)
                given = made
            file.create_group(f"block{block}/layers/max_pooling2d/vars")
        file["fuse/vars/0"] = np.zeros((1, 1, 5, 1), np.float32)
    return path
