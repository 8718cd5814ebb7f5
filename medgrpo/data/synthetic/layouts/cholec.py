"""Drawn gallbladder operations: two instruments at a time, in two phases that the light tells apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import ImageDraw

from medgrpo.data.sources.cholec import STEPS
from medgrpo.data.synthetic.scenes import FrameState, ProcedureScene
from medgrpo.data.synthetic.sources import SOURCES

__all__ = ["SPEC", "Operation"]

SPEC = replace(
    SOURCES["CholecTrack20"],
    width=224,
    height=126,
    canvas=None,
    phases=STEPS,
    actions=(2, 3),
    action_seconds=(3, 5),
    tool_size=(0.25, 0.35),
    hidden_share=1.0,
    noise=0.0,
)


class Operation:
    """What a video shows.

    Args:
        number: Of the video, from 0.
        seed: Of everything.
        duration: Seconds.

    Attributes:
        hands: The scene of the main instrument, and the one whose instrument is painted into it.
    """

    def __init__(self, number: int, seed: int, duration: int) -> None:
        first = 10_000 * seed + 100 * number
        drawn = (ProcedureScene(SPEC, first + k, duration) for k in range(100))
        main = next(scene for scene in drawn if len(scene.phases) == 2)
        self.duration = duration
        self.hands = (main, ProcedureScene(SPEC, first + 9_900, duration))

    def draw(self, time: float) -> np.ndarray:
        """The picture at a time in seconds, uint8 ``[H, W, 3]``."""
        main, other = self.hands
        image = main.canvas(time)
        pen = ImageDraw.Draw(image)
        other.paint(pen, time, True)
        main.paint(pen, time, True)
        return np.asarray(image)

    def phase(self, time: float) -> str:
        """In the benchmark's spelling."""
        return self.hands[0].state(time).phase

    def seen(self, time: float) -> list[tuple[int, FrameState]]:
        """The instruments in view, each with the number of its hand."""
        states = [(hand, scene.state(time)) for hand, scene in enumerate(self.hands)]
        return [(hand, state) for hand, state in states if state.visible]
