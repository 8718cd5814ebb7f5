"""RGB of the frames that FFmpeg decodes, each at the place of the last one.

PyAV's own conversion allocates every picture anew. What the decoder allocates meanwhile comes to lie where
the last picture was and the next picture further on, so that a reading takes several MB more than it needs at
1080p. A filter keeps its pictures and gives them again; the pixels are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["RgbConverter"]

UNSPECIFIED = 2
"""FFmpeg's number for unknown primaries and transfer functions, which are no part of the conversion."""


class RgbConverter:
    """Converts decoded frames in one thread."""

    def __init__(self) -> None:
        self._kind: dict[str, str] = {}
        self._graph: Any = None

    def convert(self, frame: Any) -> np.ndarray:
        """RGB of a frame in memory that is used again once the array is gone.

        Args:
            frame: A decoded frame of PyAV.

        Returns:
            uint8 ``[H, W, 3]``, as stored: not rotated.

        Raises:
            av.error.FFmpegError: If it cannot be converted.
        """
        kind = {
            "video_size": f"{frame.width}x{frame.height}",
            "pix_fmt": frame.format.name,
            "colorspace": str(int(frame.colorspace)),
            "range": str(int(frame.color_range)),
        }
        if kind != self._kind:
            self._graph, self._kind = _graph(kind), kind
        frame.color_trc = frame.color_primaries = UNSPECIFIED
        self._graph.vpush(frame)
        pixels: np.ndarray = self._graph.vpull().to_ndarray()
        return pixels


def _graph(kind: dict[str, str]) -> Any:
    """The filter for one kind of frames."""
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1  # the default is one for each core
    source = graph.add("buffer", time_base="1/1", **kind)
    scale = graph.add("scale", flags="bilinear")  # of the colours, where they are stored at half the size
    graph.link_nodes(
        source, scale, graph.add("format", pix_fmts="rgb24"), graph.add("buffersink")
    ).configure()
    return graph
