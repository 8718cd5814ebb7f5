"""A decoder that misbehaves; in a file of its own, because the helper process imports it within the limit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np

from medgrpo.data.readers.pyav import PyAVReader


class MoodyReader(PyAVReader):
    """Hangs on files that are named so, and takes its process down on others."""

    name = "moody"

    def _decode(self, targets: np.ndarray) -> Iterator[np.ndarray]:
        if self.path.stem.startswith("hangs"):
            time.sleep(10_000)
        if self.path.stem.startswith("crashes"):
            os.abort()
        return super()._decode(targets)
