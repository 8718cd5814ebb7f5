"""A small store for the tests of the dashboard: three tasks, several rounds, hostile texts."""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from medgrpo.rollout.store import RolloutStore
from medgrpo.types import Canvas, ComponentScore, Judgement, Rollout
from tests.rollout.rollouts import make_rollout, make_sample

__all__ = ["ATTACK", "write_scene"]

ATTACK = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> ${window.hacked=1} {{7*7}}'
"""Must be shown as it stands."""

_REFERENCE = "The surgeon grasps the gallbladder, clips the cystic artery and divides it with scissors."
_ANSWERS = (
    "The surgeon grasps the gallbladder, clips the cystic artery and divides it with scissors.",
    "The surgeon clips the cystic duct and cuts it.",
    "A grasper holds the gallbladder while the hook dissects tissue.",
    "The surgeon grasps the liver and irrigates the field.",
    "Someone does something.",
    "The cystic artery is clipped and divided.",
    ATTACK,
    "",
)
_RATIONALES = {
    "terminology": "Names the cystic artery as the reference does.",
    "identification": "The clip applier is not mentioned.",
    "specificity": "Gives the order of steps, but not the side.",
    "context": "The phase can be told from the text.",
    "action": "Clipping and dividing are both stated.",
}


def _frames(folder: Path, count: int = 9) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k in range(count):
        image = Image.new("RGB", (320, 180), (96, 30 + 4 * k, 34))
        draw = ImageDraw.Draw(image)
        draw.ellipse((60, 40, 200, 150), fill=(176, 120, 60))
        draw.rectangle((180 - 8 * k, 60, 260 - 8 * k, 84), fill=(190, 195, 200))
        path = folder / f"{k:03d}.jpg"
        image.save(path, quality=85)
        paths.append(path)
    return tuple(paths)


def _score(
    metric: str, raw: float, value: float, weight: float, **factors: float
) -> ComponentScore:  # logistic with the quartiles of a model before training
    return ComponentScore(
        raw=raw,
        normalised=value,
        weight=weight,
        metric=metric,
        normalizer="logistic",
        p25=0.2,
        p50=0.35,
        p75=0.55,
        k=3.0,
        factors=factors,
    )


def _group(kind: str, step: int, frames: tuple[Path, ...], dice: random.Random) -> list[Rollout]:
    lift = 0.03 * step
    values = [min(1.0, max(0.0, dice.gauss(0.35 + lift, 0.15))) for _ in range(8)]
    mean = sum(values) / 8
    std = (sum((v - mean) ** 2 for v in values) / 7) ** 0.5
    rollouts = []
    for index, value in enumerate(values):
        keywords: dict[str, Any] = {"index": index, "group_id": f"{kind}-{step}", "value": value}
        keywords |= {"group_mean": mean, "group_std": std, "advantage": (value - mean) / std}
        if kind == "summary":
            question = f"What happens in this clip? {ATTACK}"
            sample = make_sample(
                "video_summary", "CholecT50", question=question, answer=_REFERENCE, frames=frames
            )
            sample = replace(sample, id=ATTACK, video_id=f"video {ATTACK}")
            scores = {name: float(1 + (index + k) % 5) for k, name in enumerate(_RATIONALES)}
            reasons = dict(_RATIONALES) if index != 6 else dict.fromkeys(_RATIONALES, ATTACK)
            keywords["judgement"] = Judgement("lexicon", "medgrpo-five@1", scores, reasons, latency_s=0.01)
            keywords["components"] = {
                "similarity": _score("similarity:minilm@1", value * 0.9, value, 0.5),
                "judge": replace(_score("judge_five@1", 3.0, value, 0.5), p25=2.4, p50=2.8, p75=3.4),
            }
            rollouts.append(make_rollout(sample, _ANSWERS[index], **keywords))
        elif kind == "tal":
            truth = [{"spans": [{"start": 0.5, "end": 1.5}, {"start": 3.0, "end": 3.5}]}]
            sample = make_sample(
                "tal", "AVOS", answer="0.5-1.5, 3.0-3.5 seconds.", truth=truth, frames=frames
            )
            parsed = None if index == 7 else [[0.4 + 0.1 * index, 1.2 + 0.2 * index]]
            text = "no idea" if parsed is None else f"{parsed[0][0]:.1f}-{parsed[0][1]:.1f} seconds."
            keywords |= {"parsed": parsed, "parse_status": "failed" if parsed is None else "ok"}
            score = _score("tal_set_miou@1", value * 0.8, value, 1.0, format=1.0, accuracy=value)
            rollouts.append(make_rollout(sample, text, components={"task_metric": score}, **keywords))
        else:
            boxes = {str(0.5 * k): [180 - 8 * k, 60, 260 - 8 * k, 84] for k in range(0, 9, 2)}
            answer = " ".join(f"{t} seconds: {box}" for t, box in boxes.items())
            sample = make_sample(
                "stg",
                "CoPESD",
                answer=answer,
                truth=[{"bbox_dict": boxes}],
                frames=frames,
                canvas=Canvas(320, 180),
            )
            found = [
                {"time": float(t), "box": [x + 6.0 * index for x in box]}
                for t, box in list(boxes.items())[: 5 - index % 3]
            ]
            keywords |= {"parsed": found, "parse_status": "repaired" if index % 3 else "ok"}
            score = _score("stg_viou@1", value * 0.7, value, 1.0, format=1.0, accuracy=value)
            rollouts.append(make_rollout(sample, answer, components={"task_metric": score}, **keywords))
    return rollouts


def write_scene(folder: Path, *, rounds: int = 8, run: str = "demo") -> RolloutStore:
    """Rounds of one group a task below ``folder``, with frames beside them."""
    dice = random.Random(5)
    frames = _frames(folder / "frames")
    store = RolloutStore(folder / "runs", run, policy_hash="c0ffee")
    for step in range(rounds):
        groups = [_group(kind, step, frames, dice) for kind in ("summary", "tal", "stg")]
        store.write(step, [rollout for group in groups for rollout in group], wall_time=1.8e9 + step)
    return store


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    write_scene(parser.parse_args().folder)
