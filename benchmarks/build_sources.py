"""Datasets for measuring a build: drawn ones in published layouts, frames and films of published size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from medgrpo.data.sources.base import Source
from medgrpo.data.sources.cholectrack20 import CholecTrack20
from medgrpo.data.sources.egosurgery import EgoSurgery
from medgrpo.data.synthetic.layouts import write_layout

__all__ = ["IMPORTERS", "SIZE", "generate_sources", "open_sources"]

SIZE = (854, 480)
"""Width and height of frames and films."""

IMPORTERS: Mapping[str, type[Source]] = {"CholecTrack20": CholecTrack20, "EgoSurgery": EgoSurgery}
"""PNG frames and every third time a film, with boxes, triplets and phases; JPEG frames with boxes."""

GRAIN = 6.0
"""Standard deviation of the noise of a camera, of 255, without which files would be too small."""


def generate_sources(root: Path, videos: int, size: tuple[int, int] = SIZE) -> Path:
    """Draw the datasets.

    Args:
        root: Folder to fill.
        videos: How many of each dataset.
        size: Width and height of frames and films, pixels.
    """
    noise = np.random.default_rng(0).normal(128.0, GRAIN, (size[1], size[0])).clip(0, 255).astype(np.uint8)
    grain = Image.fromarray(noise).convert("RGB")
    for name in IMPORTERS:
        write_layout(name, root / name, videos, seed=0)
    for path in sorted(root.rglob("*")):
        if path.suffix in (".jpg", ".png"):
            with Image.open(path) as small:
                large = small.convert("RGB").resize(size, Image.Resampling.BICUBIC)
            noisy = ImageChops.add(large, grain, offset=-128)
            if path.suffix == ".jpg":
                noisy.save(path, quality=90)
            else:
                noisy.save(path, compress_level=1)
        elif path.suffix == ".mp4":
            _enlarge_film(path, size)
    return root


def open_sources(root: Path) -> dict[str, Source]:
    """The importers of the datasets."""
    return {name: importer(root / name) for name, importer in IMPORTERS.items()}


def _enlarge_film(path: Path, size: tuple[int, int]) -> None:
    import av

    large = path.with_suffix(".large.mp4")
    with av.open(str(path)) as source, av.open(str(large), "w") as target:
        stream = target.add_stream("libx264", rate=source.streams.video[0].average_rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "23", "preset": "ultrafast"}
        for frame in source.decode(video=0):
            sized = frame.reformat(width=size[0], height=size[1], format="rgb24").to_ndarray()
            target.mux(stream.encode(av.VideoFrame.from_ndarray(sized, format="rgb24")))
        target.mux(stream.encode())
    large.replace(path)
