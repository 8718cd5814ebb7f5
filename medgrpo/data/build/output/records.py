"""The records of a split, one after the other, from the questions that were kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

from medgrpo.data.build.items import ClipPictures, Draft, WrittenText
from medgrpo.data.build.output.statistics import Statistics
from medgrpo.data.build.verify.findings import KeptClip, KeptPair, Rejection
from medgrpo.data.build.verify.held_out import HeldOutTexts, Repeats

__all__ = ["RowMaker", "SplitRows", "answers_of"]


class RowMaker(Protocol):
    """Makes a record in MedVidBench's schema; frame paths start at the folder of the records file."""

    def __call__(
        self, draft: Draft, pictures: ClipPictures, written: WrittenText | None
    ) -> Mapping[str, Any]:
        """The record of a question and its own answer, or one writer's text."""
        ...


class SplitRows:
    """Makes the records of one split of a stream of clips.

    Args:
        split: Name.
        videos: Canonical ids of its videos.
        make: Makes one record.
        statistics: Counts them.
        repeats: Counts texts that are there twice.
        held_out: Texts that no question of this split may nearly repeat; None for a split that is held out.
        reject: Is told of each question that is left out.
    """

    def __init__(
        self,
        split: str,
        videos: Collection[str],
        make: RowMaker,
        statistics: Statistics,
        repeats: Repeats,
        held_out: HeldOutTexts | None,
        reject: Callable[[Rejection], object],
    ) -> None:
        self.split = split
        self.videos = videos
        self.make = make
        self.statistics = statistics
        self.repeats = repeats
        self.held_out = held_out
        self.reject = reject

    def of(self, clips: Iterable[KeptClip]) -> Iterator[Mapping[str, Any]]:
        """The records, in the order of the clips, questions and writers."""
        for clip in clips:
            if clip.clip.canonical_id not in self.videos:
                continue
            for pair in clip.pairs:
                if self._leaks(pair):
                    continue
                self.repeats.add(self.split, pair)
                for written, answer in answers_of(pair):
                    self.statistics.add(self.split, pair.draft, answer)
                    yield self.make(pair.draft, clip.pictures, written)

    def _leaks(self, pair: KeptPair) -> bool:
        findings = self.held_out.findings(pair) if self.held_out else ()
        if findings:
            draft, texts, similarity = pair.draft, pair.texts, pair.similarity
            self.reject(Rejection("near_duplicate", findings, draft, texts, similarity, split=self.split))
        return bool(findings)


def answers_of(pair: KeptPair) -> list[tuple[WrittenText | None, str]]:
    """The answers of a question with their writers; its own answer has none."""
    if pair.draft.answer is not None:
        return [(None, pair.draft.answer)]
    return [(written, written.text) for _, written in sorted(pair.texts.items())]
