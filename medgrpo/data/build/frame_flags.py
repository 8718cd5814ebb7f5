"""Frames that must not leave the machine: black, out of the body, identifying; found by rule and by hand.

What finds them is exchangeable: a :class:`FrameDetector` is one class with one method. The one that is
shipped, :class:`ColourDetector`, looks at colours alone and is a first net, not a guarantee; it says what it
was measured on and what it misses. Nothing that is shipped finds faces, names on a monitor or patient labels:
give such frames in a list (:mod:`medgrpo.data.build.flag_list`), or hold back whole sources with
:class:`WithheldSources`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medgrpo.data.build.flag_list import CLEAR, FlagList
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.errors import UserError

__all__ = ["ENDOSCOPIC", "ColourDetector", "FrameDetector", "FrameFlags", "WithheldSources"]

ENDOSCOPIC = ("CholecT50", "CholecTrack20", "Cholec80_CVS", "CoPESD")
"""Sources that are filmed inside the body, where a view of the room identifies people."""

_LOOK = 96
"""Rows and columns of a frame that are looked at."""


class FrameDetector(ABC):
    """Says of a frame why it must not leave the machine."""

    @abstractmethod
    def flags(self, source: str, pixels: np.ndarray) -> tuple[str, ...]:
        """Look at a frame.

        Args:
            source: The benchmark's name of the dataset.
            pixels: RGB, uint8 ``[H, W, 3]``; of any size, not to be written to.

        Returns:
            Of ``black``, ``out_of_body``, ``identifying``; or words of one's own.
        """


class ColourDetector(FrameDetector):
    """Black frames, and views out of the body in endoscopic footage, by colour.

    Lit tissue is warm: red above blue, from red over pink to yellow. A room is grey, white, green and blue.
    A frame of an endoscopic source is called out of body where less than a share of its lit pixels is warm.

    Measured on drawn scenes (``tests/data/build/test_frame_flags.py``): all black frames, all of 60 rooms
    with grey walls and drapes of green or blue, none of 120 frames inside the body. By construction it is
    blind to people close to the camera (skin is warm), to wooden or orange rooms and to a room seen through
    blood, and it calls blue what is blue: tissue dyed with methylene blue, narrow-band or fluorescence light,
    a view that instruments or gauze fill. It has not been measured on real footage.

    Args:
        sources: Endoscopic sources; in others only black frames are found.
        black_level: A pixel is lit if its brightest channel is above this, 0..255.
        min_lit: A frame of which a smaller share is lit is black.
        min_warm: Smallest share of lit pixels that are warm inside the body.
    """

    def __init__(
        self,
        sources: Sequence[str] = ENDOSCOPIC,
        black_level: int = 24,
        min_lit: float = 0.01,
        min_warm: float = 0.25,
    ) -> None:
        if not 0 <= black_level < 255:
            raise UserError(f"black_level must be 0..254, got {black_level}")
        for name, share in (("min_lit", min_lit), ("min_warm", min_warm)):
            if not 0 <= share <= 1:
                raise UserError(f"{name} is a share, 0..1, got {share}")
        self.sources = frozenset(sources)
        self.black_level = black_level
        self.min_lit = min_lit
        self.min_warm = min_warm

    def flags(self, source: str, pixels: np.ndarray) -> tuple[str, ...]:
        """``black`` or ``out_of_body``, if anything."""
        height, width = pixels.shape[:2]
        few = pixels[:: max(1, height // _LOOK), :: max(1, width // _LOOK)].astype(np.int16)
        lit = np.maximum.reduce([few[..., 0], few[..., 1], few[..., 2]]) > self.black_level
        if lit.mean() < self.min_lit:
            return ("black",)
        if source in self.sources and self.warm_share(few[lit]) < self.min_warm:
            return ("out_of_body",)
        return ()

    @staticmethod
    def warm_share(lit: np.ndarray) -> float:
        """Share of pixels that are warm: at least as red as green, and clearly redder than blue.

        Args:
            lit: RGB, int16 ``[N, 3]``.
        """
        red, green, blue = lit.T
        return float(((red >= green) & (10 * red >= 12 * blue)).mean())


class WithheldSources(FrameDetector):
    """Holds back every frame of some sources, until a person has looked and cleared it in the list.

    Args:
        sources: For example those that show staff and patients: ``["NurViD"]``.
        flag: What to call the frames.
    """

    def __init__(self, sources: Sequence[str], flag: str = "identifying") -> None:
        self.sources = frozenset(sources)
        self.flag = flag

    def flags(self, source: str, pixels: np.ndarray) -> tuple[str, ...]:
        """The flag for all frames of the sources."""
        del pixels
        return (self.flag,) if source in self.sources else ()


class FrameFlags:
    """All that marks frames: detectors, and a list made by hand, which has the last word.

    Args:
        detectors: Asked in turn; None is :class:`ColourDetector`.
        by_hand: CSV file of frames to hold back or to clear, see :class:`FlagList`.

    Raises:
        UserError: If the list cannot be read.
    """

    def __init__(
        self, detectors: Sequence[FrameDetector] | None = None, by_hand: str | Path | None = None
    ) -> None:
        self.detectors = (ColourDetector(),) if detectors is None else tuple(detectors)
        self.by_hand = FlagList() if by_hand is None else FlagList.read(by_hand)

    def of(self, video: SourceVideo, frame_id: int, pixels: np.ndarray) -> tuple[str, ...]:
        """Why a frame must not leave the machine; sorted, empty if it may.

        Args:
            video: The video it is of.
            frame_id: On the source's own clock.
            pixels: RGB, uint8 ``[H, W, 3]``.
        """
        listed = self.by_hand.of(video.source, video.video_id, frame_id)
        if CLEAR in listed:
            return tuple(sorted(listed - {CLEAR}))
        found = {flag for detector in self.detectors for flag in detector.flags(video.source, pixels)}
        return tuple(sorted(found | listed))
