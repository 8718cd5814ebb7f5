"""Which questions are asked about a clip: by the tasks of its source, so many of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from medgrpo.data.build.items import BuildClip, ClipPictures, Draft
from medgrpo.data.build.questions.assessments import critical_view, skill
from medgrpo.data.build.questions.captions import dense_captioning, region_caption, video_summary
from medgrpo.data.build.questions.next_action import next_action
from medgrpo.data.build.questions.scene import Asker, Scene
from medgrpo.data.build.questions.seen import see
from medgrpo.data.build.questions.stg import spatio_temporal_grounding
from medgrpo.data.build.questions.tal import temporal_grounding
from medgrpo.data.build.seeds import generator_of
from medgrpo.data.build.templates import SourceTexts
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.errors import UserError

__all__ = ["QuestionPolicy", "draft_questions"]

ASKERS: Mapping[str, Asker] = {
    "tal": temporal_grounding,
    "stg": spatio_temporal_grounding,
    "dense_captioning": dense_captioning,
    "next_action": next_action,
    "video_summary": video_summary,
    "region_caption": region_caption,
    "skill_assessment": skill,
    "cvs_assessment": critical_view,
}


def _most() -> dict[str, int]:
    return {
        "tal": 3,
        "stg": 3,
        "dense_captioning": 1,
        "next_action": 1,
        "video_summary": 1,
        "region_caption": 2,
        "skill_assessment": 1,
        "cvs_assessment": 1,
    }


@dataclass(frozen=True)
class QuestionPolicy:
    """How many questions are asked.

    Attributes:
        per_clip: Task to the most questions of it about one clip; one that is not named is not asked.
        seed: Another seed chooses others.

    Raises:
        UserError: If a task is unknown or a number negative.
    """

    per_clip: Mapping[str, int] = field(default_factory=_most)
    seed: int = 0

    def __post_init__(self) -> None:
        for task, most in self.per_clip.items():
            if task not in ASKERS:
                raise UserError(f"questions: unknown task {task!r}; there are {', '.join(ASKERS)}")
            if most < 0:
                raise UserError(f"questions: per_clip.{task} must be 0 or more, got {most}")


def draft_questions(
    video: SourceVideo,
    clip: BuildClip,
    pictures: ClipPictures,
    texts: SourceTexts,
    policy: QuestionPolicy,
) -> tuple[tuple[Draft, ...], Mapping[str, int]]:
    """All questions about a clip, by task.

    Args:
        video: With its annotations.
        clip: One of its clips.
        pictures: The clip's frames.
        texts: Of the source: which tasks it has, and in which words it is introduced.
        policy: How many.

    Returns:
        The questions, and counts of what was left out, by reason.
    """
    drafts: dict[str, Draft] = {}
    seen = see(video, clip, pictures)
    dropped: Counter[str] = Counter(seen.dropped)
    for task, asker in ASKERS.items():
        most = policy.per_clip.get(task, 0)
        if task not in texts.tasks or most < 1:
            continue
        generator = generator_of(policy.seed, clip.source, clip.video_id, clip.start, clip.end, task)
        scene = Scene(video, clip, pictures, seen, texts, generator, dropped)
        for draft in asker(scene, most):
            drafts.setdefault(draft.key, draft)
    return tuple(drafts.values()), {reason: count for reason, count in sorted(dropped.items()) if count}
