"""Frames and prompts as the model on the command line gets them; its weights are not loaded for that."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app.sources import Sources
from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.sampling import FramePlan, SamplingPolicy
from medgrpo.errors import UserError
from medgrpo.types import Sample

if TYPE_CHECKING:
    from medgrpo.data.encode import Encoder

__all__ = ["Prompt", "Prompts"]

_DECODE_SECONDS = 60.0
"""A person waits: a video that takes longer is reported instead."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question after the chat template.

    Attributes:
        text: With one token for the clip.
        tokens: Word pieces in all, those of the clip included.
    """

    text: str
    tokens: int


class Prompts:
    """Reads frames, and writes prompts if a model is there.

    Args:
        sources: Sampling policy and model.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        # Nothing is kept: several people ask at a time, and the cache is made for one process that trains.
        self._options: dict[str, Any] = {
            "cache": FrameCache(memory_bytes=0),
            "decode_seconds": _DECODE_SECONDS,
        }
        self.frames = ClipFrames(sources.sampling, **self._options)
        self.problem = ""
        self._encoder: Encoder | None = None
        self._lock = threading.Lock()

    @property
    def policy(self) -> SamplingPolicy:
        """How frames are chosen; a model that reads times changes how they are told."""
        return self.frames.sampling

    def prepare(self) -> None:
        """Load the model's processor, once; what is wrong with it is kept as ``problem``."""
        with self._lock:
            if self.sources.model is None or self._encoder is not None or self.problem:
                return
            from medgrpo.modules.model_directory import encoder_of, read_processor

            try:
                config, processor = read_processor(self.sources.model)
                self._encoder = encoder_of(
                    self.sources.model,
                    config,
                    processor,
                    self.sources.sampling,
                    **self._options,
                )
                self.frames = self._encoder.frames
            except UserError as error:
                self.problem = str(error).removeprefix("policy.path: ")

    def write(self, sample: Sample, plan: FramePlan) -> Prompt | None:
        """The prompt of a sample; None without a model.

        Raises:
            UserError: If it is too long.
        """
        if self._encoder is None:
            return None
        # The text depends on how many frames there are, not on what they show.
        clip = self._encoder.clip_of(np.empty((len(plan.indices), 3, 0, 0), dtype=np.uint8), plan)
        prompt = self._encoder.assemble(sample, clip)
        return Prompt(prompt.text, len(prompt.ids))
