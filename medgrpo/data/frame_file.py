"""One stack of frames in one safetensors file, with checksums: how it is written and how it is read.

Reading is what a cache is for, so it costs one copy of the pixels and one pass over them. The safetensors
package maps the file and copies from there, which takes twice as long, and frames left in the mapping would
be worse: where another machine removes or truncates the file, the process that looks at them dies.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["fast_checksum", "pack_frames", "read_frames"]

DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype(np.uint8), "F64": np.dtype(np.float64)}
"""Pixels and times, by their names in the file."""

LENGTH = 8
"""Bytes of the header's length, with which the file starts."""

COLUMNS = 509
"""Words in a row of the checksum: prime, so that no block of a file stays in its columns when it moves."""


def pack_frames(frames: np.ndarray) -> bytes:
    """The content of a file of frames.

    Args:
        frames: Of any shape.

    Raises:
        TypeError: If they are neither uint8 nor float64.
    """
    from safetensors.numpy import save

    if frames.dtype not in DTYPES.values():
        raise TypeError(f"frames are uint8 and times float64, got {frames.dtype}")
    frames = np.ascontiguousarray(frames)
    sums = {
        "checksum": fast_checksum(frames),
        "sha256": hashlib.sha256(frames.reshape(-1).data).hexdigest(),
    }
    return bytes(save({"frames": frames}, sums))


def read_frames(path: Path, thorough: bool = False) -> np.ndarray:
    """Read and check a file of frames.

    Args:
        path: The file.
        thorough: Compare the SHA-256 too.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(LENGTH), "little")
            if length > size:
                raise ValueError("has no header")
            header = json.loads(file.read(length))
            told, sums = header["frames"], dict(header["__metadata__"])
            dtype, shape = DTYPES[told["dtype"]], tuple(told["shape"])
            if size != LENGTH + length + dtype.itemsize * math.prod(shape):
                raise ValueError("has another size than its header says")
            frames: np.ndarray = np.empty(shape, dtype)
            file.readinto(frames.reshape(-1).view(np.uint8).data)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(str(error)) from error
    except (KeyError, TypeError) as error:
        raise ValueError("has another header than frames have") from error
    if sums.get("checksum") != fast_checksum(frames):
        raise ValueError("wrong checksum")
    if thorough and sums.get("sha256") != hashlib.sha256(frames.reshape(-1).data).hexdigest():
        raise ValueError("wrong SHA-256")
    return frames


def fast_checksum(frames: np.ndarray) -> str:
    """A checksum at the speed of memory: CRC-32 of the sums of columns of 64-bit words.

    It finds what happens to files: flipped bits, zeroed or torn blocks, blocks of another file or another
    place. CRC-32 of all bytes takes five times as long, longer than reading the file.

    Args:
        frames: Contiguous, of any shape and type.
    """
    data = frames.reshape(-1).view(np.uint8)
    whole = len(data) // (8 * COLUMNS) * (8 * COLUMNS)
    sums = data[:whole].view(np.uint64).reshape(-1, COLUMNS).sum(axis=0, dtype=np.uint64)
    return f"columns:{zlib.crc32(data[whole:].data, zlib.crc32(sums.data)):08x}:{len(data)}"
