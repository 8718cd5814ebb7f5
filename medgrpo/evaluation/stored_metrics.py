"""The raw metrics of answers that a run has stored, with clinicians' scores in place of the judge's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.clinician_scores import by_answer, check_rubric, clinician_score
from medgrpo.evaluation.verdicts import Verdict, answer_hash
from medgrpo.rewards import CompositeReward
from medgrpo.rollout.schema import rollout_from_row
from medgrpo.types import Sample

__all__ = ["StoredMetrics", "stored_metrics"]


@dataclass(slots=True)
class StoredMetrics:
    """What statistics are made of.

    Attributes:
        samples: The question of each answer.
        raw: Metric name to value, for each answer.
        replaced: Answers whose judge's score is a clinician's.
        left_out: Answers that clinicians could not use: a wrong reference, a clip that shows too little.
        foreign: Verdicts about these places that were given to other texts, and are not used.
    """

    samples: list[Sample] = field(default_factory=list)
    raw: list[dict[str, float]] = field(default_factory=list)
    replaced: int = 0
    left_out: int = 0
    foreign: int = 0


def stored_metrics(
    rows: Sequence[Mapping[str, Any]], reward: CompositeReward, verdicts: Sequence[Verdict], source: str
) -> StoredMetrics:
    """Read the raw values of stored answers; nothing is scored again.

    Args:
        rows: Of the rollout store, of tasks that the reward scores.
        reward: What has to have scored them.
        verdicts: Their numbers replace the judge's; may be empty.
        source: Of the verdicts, for messages.

    Raises:
        UserError: If an answer was scored by other metrics, or verdicts follow another rubric than the judge.
    """
    found, given = StoredMetrics(), by_answer(verdicts)
    for row in rows:
        metrics = _metrics(row, reward)
        about = given.get((row["run"], row["step"], row["group_id"], row["sample_index"]), [])
        content = answer_hash(row["question"], row["reference_text"], row["completion_text"])
        read = [verdict for verdict in about if verdict.about(content)]
        found.foreign += len(about) - len(read)
        score = clinician_score(read)
        if score is not None and math.isnan(score):
            found.left_out += 1
            continue
        for name in metrics:
            if score is not None and name.startswith("judge:"):
                check_rubric(read, name.rpartition(":")[2], source)
                metrics[name] = score
                found.replaced += 1
        found.samples.append(rollout_from_row(row).sample)
        found.raw.append(metrics)
    return found


def _metrics(row: Mapping[str, Any], reward: CompositeReward) -> dict[str, float]:
    """Those that the reward has for the row's task."""
    task = row["task"]
    stored = {part["metric"]: part["raw"] for part in row["components"]}
    wanted = [part.metric(task).name for part in reward.components.values() if task in part.tasks]
    for name in wanted:
        if name not in stored:
            raise UserError(
                f"run {row['run']}, step {row['step']}: answers of {task} were scored by "
                f"{', '.join(sorted(stored))}, not by {name}; give the configs that the run was trained with"
            )
    return {name: stored[name] for name in wanted}
