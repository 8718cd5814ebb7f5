"""What data modules for training share: where records and frames are, and how clips are encoded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L

from medgrpo.data.bad_clips import BadClips
from medgrpo.data.clip_frames import frame_cache
from medgrpo.data.encode import Encoder
from medgrpo.data.index import prepare_index
from medgrpo.data.lazy_records import Records, open_records
from medgrpo.data.readable import ReadableRows
from medgrpo.data.readers import check_backend
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.types import Sample

__all__ = ["BAD_CLIPS", "ClipDataModule"]

BAD_CLIPS = "bad_clips.jsonl"
"""Report of the rows that were set aside, in the run's folder."""


class ClipDataModule(L.LightningDataModule):
    """Opens records and encodes their clips for the policy in training.

    Args:
        files: Records files; None stands for one that is not used.
        sampling: Frames and sizes.
        media_root: Where relative frame paths start; None is the records file's folder.
        media_prefixes: Starts of frame paths to replace, old to new (absolute or relative to the root).
        max_prompt_tokens: Longest prompt accepted.
        video_backend: Decoder of video files.
        decode_seconds: Most time that it may take for a clip, after which it is stopped; None is no limit.
        frame_cache: Folder that keeps resized frames between runs; None keeps recent ones in memory.
        frame_cache_gb: Most gigabytes in that folder.
        max_bad_clips: Most clips whose frames cannot be read that are set aside; 0 stops at the first.

    Raises:
        UserError: If there is no such decoder.
        ValueError: If ``max_bad_clips`` is negative.
    """

    def __init__(
        self,
        files: Sequence[str | None],
        sampling: SamplingPolicy,
        *,
        media_root: str | None,
        media_prefixes: dict[str, str] | None,
        max_prompt_tokens: int,
        video_backend: str,
        decode_seconds: float | None,
        frame_cache: str | None,
        frame_cache_gb: float,
        max_bad_clips: int,
    ) -> None:
        super().__init__()
        if max_bad_clips < 0:
            raise ValueError(f"data.max_bad_clips must be at least 0, got {max_bad_clips}")
        self.files = tuple(file for file in files if file is not None)
        self.sampling = sampling
        self.media_root = media_root
        self.media_prefixes = media_prefixes
        self.max_prompt_tokens = max_prompt_tokens
        self.video_backend = check_backend(video_backend)
        self.decode_seconds = decode_seconds
        self.frame_cache = frame_cache
        self.frame_cache_gb = frame_cache_gb
        self.max_bad_clips = max_bad_clips

    @property
    def attached_trainer(self) -> Any:
        """The trainer that calls the hooks."""
        if self.trainer is None:
            raise RuntimeError(f"{type(self).__name__} is used by a Trainer")
        return self.trainer

    def prepare_data(self) -> None:
        """Index large records once on each machine, not in every process."""
        for records in self.files:
            prepare_index(records)

    def open_records(self, records: str) -> Records:
        """Open a records file with this module's places of frames.

        Raises:
            UserError: At the first defect, naming file, row and field.
        """
        return open_records(records, media_root=self.media_root, media_prefixes=self.media_prefixes)

    @cached_property
    def bad_clips(self) -> BadClips:
        """What the run has set aside, in all of its processes."""
        return BadClips(Path(self.attached_trainer.default_root_dir) / BAD_CLIPS, self.max_bad_clips)

    def readable(self, records: str, samples: Sequence[Sample], encoder: Encoder) -> ReadableRows:
        """Rows of a records file as prompts; bad clips are set aside as far as the config allows."""
        return ReadableRows(records, samples, encoder, self.bad_clips)

    def encoder_for(self, policy: Any) -> Encoder:
        """Load the policy and make the encoder that matches it."""
        policy.setup()
        return policy.encoder(
            self.sampling,
            cache=frame_cache(self.frame_cache, self.frame_cache_gb),
            max_prompt_tokens=self.max_prompt_tokens,
            video_backend=self.video_backend,
            decode_seconds=self.decode_seconds,
        )
