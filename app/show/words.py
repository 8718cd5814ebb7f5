"""Plain words for the field's identifiers, for readers who do not program."""

from __future__ import annotations

__all__ = ["DIMENSION_HELP", "component_words", "plain", "skip_words", "status_words", "task_words"]

_TASKS = {
    "tal": "When does it happen?",
    "stg": "Where is the instrument?",
    "dense_captioning": "Describe all events",
    "next_action": "What comes next?",
    "video_summary": "Summarise the clip",
    "region_caption": "Describe the marked object",
    "skill_assessment": "Rate the skill",
    "cvs_assessment": "Critical view of safety",
}
_METRICS = {
    "tal_set_miou": "Overlap of the time spans",
    "stg_viou": "Overlap of the boxes",
    "dvc_segment_f1": "Events found at the right time",
}
_COMPONENTS = {
    "similarity": "Similarity to the reference",
    "judge": "The judge's marks",
    "task_metric": "Agreement with the expert",
    "metric": "Agreement with the expert",
    "task": "Agreement with the expert",
}
_SKIPS = {
    "zero_variance": "not used for learning: all answers got the same reward",
    "refilled": "not used for learning: all answers got the same reward, so another prompt was asked",
    "failed_reward": "not used for learning: a reward could not be computed",
}
_STATUSES = {
    "ok": "written as asked",
    "repaired": "readable after small corrections",
    "failed": "not readable: the requested structure is missing",
    "free_text": "free text",
}
DIMENSION_HELP = "1 is far from the reference, 5 is as good as the reference"


def plain(identifier: str) -> str:
    """``time_and_motion`` becomes ``Time and motion``."""
    words = identifier.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def task_words(task: str) -> str:
    """The question that a task asks, in plain words."""
    return _TASKS.get(task, plain(task))


def component_words(name: str, metric: str = "") -> str:
    """What a reward component measures."""
    return _METRICS.get(metric.split("@")[0], _COMPONENTS.get(name, plain(name)))


def skip_words(reason: str) -> str:
    """Why a group does not take part in learning."""
    return _SKIPS.get(reason, f"not used for learning: {plain(reason).lower()}")


def status_words(status: str) -> str:
    """How well an answer kept to the requested form."""
    return _STATUSES.get(status, plain(status))
