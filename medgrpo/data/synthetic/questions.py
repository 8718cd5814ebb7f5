"""Questions and answers about a scene, in the formats of MedVidBench.

Each function returns everything of a row that depends on the task; ``variant`` (0 or 1) chooses the phrasing,
for captions also the writer, for timed questions also what is asked about, so that the two questions
about a clip differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from medgrpo.data.synthetic.assessments import CriteriaScene, SkillScene
from medgrpo.data.synthetic.language import event_sentence, gerund, overview, region_sentence, seconds
from medgrpo.data.synthetic.scenes import ProcedureScene, Scene
from medgrpo.data.synthetic.sources import SourceSpec
from medgrpo.tasks import TASKS

__all__ = ["Question", "ask", "relative_to_canvas"]


@dataclass(frozen=True)
class Question:
    """One question with its answer.

    Attributes:
        qa_type: The benchmark's spelling, writer's suffix included.
        text: Persona, domain and query.
        answer: In the published format.
        truth: ``struc_info``.
        region_time: Seconds of the frame on which a box is to be drawn, for region captions.
        region_box: That box in pixels of the canvas.
    """

    qa_type: str
    text: str
    answer: str
    truth: Any
    region_time: float | None = None
    region_box: tuple[float, ...] | None = None


def ask(scene: Scene, task: str, variant: int, generator: np.random.Generator) -> Question | None:
    """A question of a task about a scene; None if the scene does not allow one."""
    return _ASKERS[task](scene, variant, generator)


def relative_to_canvas(spec: SourceSpec, box: tuple[float, float, float, float]) -> tuple[float, ...]:
    """Shares of the frame's sides in pixels of the canvas, rounded to two decimals."""
    width, height = spec.box_canvas
    return tuple(round(v * side, 2) for v, side in zip(box, (width, height, width, height), strict=True))


def _text(scene: Scene, query: str) -> str:
    return f"{scene.spec.persona} {scene.spec.domain} {query}"


def _procedure(scene: Scene) -> ProcedureScene:
    if not isinstance(scene, ProcedureScene):
        raise TypeError(f"{scene.spec.name} has no timeline of actions")
    return scene


def _tal(scene: Scene, variant: int, generator: np.random.Generator) -> Question:
    scene = _procedure(scene)
    seen = list(dict.fromkeys(a.verb for a in scene.actions))
    verb = seen[(scene.seed + variant) % len(seen)]
    spans = [(a.start, a.end) for a in scene.actions if a.verb == verb]
    listed = [gerund(v) for v in scene.spec.verbs]
    query = TASKS["tal"].question(variant, action=gerund(verb), actions=", ".join(listed))
    answer = ", ".join(f"{seconds(a)}-{seconds(b)}" for a, b in spans) + " seconds."
    truth = [
        {
            "action": gerund(verb),
            "action_list": listed,
            "procedure": scene.spec.domain,
            "spans": [{"start": a, "end": b} for a, b in spans],
        }
    ]
    return Question("tal", _text(scene, query), answer, truth)


def _stg(scene: Scene, variant: int, generator: np.random.Generator) -> Question | None:
    scene = _procedure(scene)
    period = 1.0 / scene.spec.fps
    listed = scene.times
    windows = [listed[(listed >= a.shown_from) & (listed < a.shown_to)] for a in scene.actions]
    open_to = [k for k, times in enumerate(windows) if len(times) >= 2]
    if not open_to:
        return None
    k = open_to[(scene.seed + variant) % len(open_to)]
    times = windows[k]
    count = int(generator.integers(2, min(4, len(times)) + 1))
    stride = int(generator.integers(1, (len(times) - 1) // (count - 1) + 1))
    first = int(generator.integers(0, len(times) - stride * (count - 1)))
    asked: list[float] = [float(t) for t in times[first : first + stride * (count - 1) + 1 : stride]]
    boxes = {seconds(t): relative_to_canvas(scene.spec, scene.tracks[k].box(t)) for t in asked}
    query = TASKS["stg"].question(
        variant,
        tool=scene.actions[k].tool,
        step=seconds(float(stride * period)),
        start=seconds(asked[0]),
        end=seconds(asked[-1]),
    )
    answer = " ".join(f"{t} seconds: [{', '.join(map(str, box))}]" for t, box in boxes.items())
    truth = [{"bbox_dict": {t: list(box) for t, box in boxes.items()}}]
    return Question("stg", _text(scene, query), answer, truth)


def _dense_captioning(scene: Scene, variant: int, generator: np.random.Generator) -> Question:
    scene = _procedure(scene)
    writer = scene.spec.writers[variant]
    events: list[dict[str, Any]] = [
        {
            "start": a.start,
            "end": a.end,
            "caption": f"{gerund(a.verb)}: {event_sentence(scene.spec, a, writer)}",
        }
        for a in scene.actions
    ]
    listed = ", ".join(gerund(v) for v in scene.spec.verbs)
    query = TASKS["dense_captioning"].question(variant, actions=listed)
    answer = "\n".join(f"{seconds(e['start'])}-{seconds(e['end'])} seconds: {e['caption']}" for e in events)
    truth = [{"dc_segments": events}] if scene.spec.name == "NurViD" else [events]
    return Question(f"dense_captioning_{writer}", _text(scene, query), answer, truth)


def _next_action(scene: Scene, variant: int, generator: np.random.Generator) -> Question:
    scene = _procedure(scene)
    spec = scene.spec
    index = scene.phases[-1][1]
    ask_next = TASKS["next_action"].question
    if spec.next_steps is not None:
        procedure = spec.phases[index]
        steps, answer = spec.next_steps[procedure]
        query = ask_next(2 + variant, procedure=procedure, steps=", ".join(steps))
    else:
        answer = spec.phases[index + 1]
        query = ask_next(variant, steps=", ".join(spec.phases))
    return Question("next_action", _text(scene, query), answer, [{"next_action": answer}])


def _video_summary(scene: Scene, variant: int, generator: np.random.Generator) -> Question:
    scene = _procedure(scene)
    writer = scene.spec.writers[variant]
    query = TASKS["video_summary"].question(variant)
    answer = overview(scene.spec, scene.actions, writer)
    return Question(f"video_summary_{writer}", _text(scene, query), answer, [{"summary": answer}])


def _region_caption(scene: Scene, variant: int, generator: np.random.Generator) -> Question | None:
    scene = _procedure(scene)
    writer = scene.spec.writers[variant]
    listed = scene.times
    windows = [listed[(listed >= a.start) & (listed < a.end)] for a in scene.actions]
    open_to = [k for k, times in enumerate(windows) if len(times)]
    if not open_to:
        return None
    k = open_to[(scene.seed + variant) % len(open_to)]
    action, time = scene.actions[k], float(windows[k][0])
    query = TASKS["region_caption"].question(variant, start=seconds(time), end=seconds(action.end))
    answer = region_sentence(action, writer)
    return Question(
        qa_type=f"region_caption_{writer}",
        text=_text(scene, query),
        answer=answer,
        truth=[{"start": time, "end": action.end, "caption": answer}],
        region_time=time,
        region_box=relative_to_canvas(scene.spec, scene.tracks[k].box(time)),
    )


def _cvs(scene: Scene, variant: int, generator: np.random.Generator) -> Question:
    if not isinstance(scene, CriteriaScene):
        raise TypeError(f"{scene.spec.name} shows no criteria of safety")
    a, b, c = scene.levels
    query = TASKS["cvs_assessment"].question(variant)
    truth = [{"cvs_scores": {"two_structures": a, "cystic_plate": b, "hepatocystic_triangle": c}}]
    answer = f"Two structures: {a}, Cystic plate: {b}, Hepatocystic triangle: {c}"
    return Question("cvs_assessment", _text(scene, query), answer, truth)


def _skill(scene: Scene, variant: int, generator: np.random.Generator) -> Question:
    if not isinstance(scene, SkillScene):
        raise TypeError(f"{scene.spec.name} shows no skill")
    query = TASKS["skill_assessment"].question(variant)
    answer = ", ".join(f"{aspect}: {value}/5" for aspect, value in scene.skill.items())
    truth = [{"skill_level": scene.level, "skill_scores": dict(scene.skill)}]
    return Question("skill_assessment", _text(scene, query), answer, truth)


_ASKERS: dict[str, Callable[[Scene, int, np.random.Generator], Question | None]] = {
    "tal": _tal,
    "stg": _stg,
    "dense_captioning": _dense_captioning,
    "next_action": _next_action,
    "video_summary": _video_summary,
    "region_caption": _region_caption,
    "cvs_assessment": _cvs,
    "skill_assessment": _skill,
}
