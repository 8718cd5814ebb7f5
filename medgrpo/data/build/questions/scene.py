"""What a task's questions are made from: a clip, its annotations in the clip's own time, and how one asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medgrpo.data.build.items import BuildClip, ClipPictures, Draft
from medgrpo.data.build.questions.seen import Seen
from medgrpo.data.build.results import content_hash
from medgrpo.data.build.templates import SourceTexts
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.tasks import get_task

__all__ = ["ROUNDING", "Asker", "Scene", "seconds"]


ROUNDING = 1e-3
"""Seconds: the ends of clips are rounded to this, those of annotations are not."""


@dataclass(frozen=True)
class Scene:
    """A clip as the questions see it.

    Attributes:
        video: With all of its annotations.
        clip: The clip.
        pictures: Its frames.
        seen: What the clip shows of the annotations, in its own time.
        texts: Persona, domain and prompts of the source.
        generator: Chances of this clip and task.
        dropped: Counts of what was left out, by reason.
    """

    video: SourceVideo
    clip: BuildClip
    pictures: ClipPictures
    seen: Seen
    texts: SourceTexts
    generator: np.random.Generator
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def times(self) -> tuple[float, ...]:
        """Seconds from the clip's start of the frames that there are."""
        return tuple(picture.time for picture in self.pictures.pictures)

    @property
    def shortest(self) -> float:
        """Seconds: what is shorter than this may fall between two frames."""
        return 1.0 / self.clip.fps

    def draft(self, task: str, level: str, query: str, other_query: str = "", **fields: Any) -> Draft:
        """A question with persona and domain in front of its query."""
        question = self._introduced(query)
        clip = self.clip
        identity = [clip.source, clip.video_id, clip.start, clip.end, clip.fps, task, question]
        # Two regions of one clip may be asked about in the same words.
        identity += [list(fields["region_box"].xyxy)] if fields.get("region_box") else []
        key = content_hash(identity)[:32]
        other = self._introduced(other_query) if other_query else ""
        return Draft(key, task, level, clip, question, other, **fields)  # type: ignore[arg-type]

    def _introduced(self, query: str) -> str:
        return f"{self.texts.persona} {self.texts.domain} {query}"

    def ask(self, task: str, forms: Sequence[int] | None = None, **fields: str) -> str:
        """A query in one of the task's forms, drawn by lot."""
        choices = range(len(get_task(task).forms)) if forms is None else forms
        return get_task(task).question(int(self.generator.choice(list(choices))), **fields)

    def ask_both(self, task: str, **fields: str) -> tuple[str, str]:
        """A query in both forms of a task whose answers are written, in an order drawn by lot."""
        first = int(self.generator.integers(2))
        ask = get_task(task).question
        return ask(first, **fields), ask(1 - first, **fields)

    def some(self, items: Sequence[Any], most: int) -> list[Any]:
        """At most so many of the items, drawn by lot, in their order."""
        if len(items) <= most:
            return list(items)
        return [items[k] for k in sorted(self.generator.choice(len(items), most, replace=False))]


Asker = Callable[[Scene, int], Sequence[Draft]]
"""Makes at most so many questions of one task about a scene."""


def seconds(time: float) -> str:
    """A time as questions and answers write it."""
    return f"{time:.1f}"
