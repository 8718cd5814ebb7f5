"""Rows of a records file as prompts, without those whose frames cannot be read, as far as the run allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medgrpo.data.bad_clips import BadClips
from medgrpo.data.batch import PolicyBatch
from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.errors import ClipError, UserError
from medgrpo.types import Clip, Region, Sample

__all__ = ["ReadableRows"]


class ReadableRows:
    """Encodes rows; a row either has its own frames or is set aside.

    A clip that failed is not read again by this process: a decoder that hangs may hang for minutes.

    Args:
        records: The file, for messages and the report.
        samples: Rows of it.
        encoder: Of the policy in training.
        bad_clips: Takes what is set aside.
    """

    def __init__(
        self, records: str, samples: Sequence[Sample], encoder: Encoder, bad_clips: BadClips
    ) -> None:
        self.records = records
        self.samples = samples
        self.encoder = encoder
        self.bad_clips = bad_clips
        self._problems: dict[tuple[Clip, Region | None], str] = {}

    def prompt(self, position: int) -> EncodedPrompt | None:
        """The prompt of a row, or None if the row is set aside.

        Args:
            position: In ``samples``.

        Raises:
            UserError: If its frames cannot be read and no clip may be set aside, or more than the limit would
                be, or the error is none of the frames.
        """
        sample = self.samples[position]
        seen = (sample.clip, sample.region)
        if seen not in self._problems:
            try:
                return self.encoder.prompt(sample)
            except ClipError as error:
                if self.bad_clips.limit == 0:
                    raise
                self._problems[seen] = str(error.__cause__)
        self.bad_clips.set_aside(self.records, sample, self._problems[seen])
        return None

    def take(self, positions: Sequence[int], spare: Iterable[Sequence[int]]) -> list[EncodedPrompt]:
        """The prompts of those rows that can be read; if none can, those of the first spare rows.

        Args:
            positions: In ``samples``.
            spare: Rows to take instead, one clip at a time.

        Raises:
            UserError: As :meth:`prompt`; or if nothing can be read.
        """
        for chosen in (positions, *spare):
            prompts = [prompt for prompt in map(self.prompt, chosen) if prompt is not None]
            if prompts:
                return prompts
        raise UserError(
            f"{self.records}: no clip is left that can be read; {self.bad_clips.report} lists the others"
        )

    def collate(self, prompts: Sequence[EncodedPrompt]) -> PolicyBatch:
        """Stack prompts with the reference answers of their rows."""
        answers = [self.encoder.answer(str(prompt.sample.answer)) for prompt in prompts]
        return self.encoder.collate(prompts, answers)
