"""How far a third model agrees with the two that wrote a corpus, with intervals by whole videos."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medgrpo.data.build.verify.third_model import Comparison
from medgrpo.evaluation.uncertainty import bootstrap_intervals
from medgrpo.services.files import write_whole
from medgrpo.tasks.quantities import Quantity, mean, ratio

__all__ = ["agreement_table", "write_agreement"]


def agreement_table(
    comparisons: Sequence[Comparison], threshold: float, seed: int = 0, draws: int = 1000
) -> dict[str, Any]:
    """Agreement over all compared questions, and by source and task, ready for JSON.

    ``similarity`` is that of the two writers, ``similarity:<writer>`` of one of them with the third;
    ``at_threshold:<writer>`` is the share of questions whose pair with the third would have been kept;
    ``apart`` the share in which the writers are alike and the third is like neither; ``terms_confirmed`` the
    share of the instruments, phases and findings that both writers name which the third names too;
    ``contradictions`` the mean number of words in a third text that the annotation speaks against.

    Args:
        comparisons: One a question.
        threshold: Similarity from which on texts are alike.
        seed: Of the bootstrap.
        draws: Of the bootstrap.
    """
    groups: dict[str, list[Comparison]] = defaultdict(list)
    for one in comparisons:
        if one.status == "ok":
            groups["all"].append(one)
            groups[f"{one.source}/{one.task}"].append(one)
    return {
        "threshold": threshold,
        "models": sorted({one.model for one in comparisons if one.status == "ok"}),
        "statuses": dict(sorted(Counter(one.status for one in comparisons).items())),
        "agreement": {
            name: _measured(groups[name], threshold, seed, draws)
            for name in sorted(groups, key=lambda name: (name != "all", name))
        },
        "apart": sorted(one.key for one in comparisons if one.apart(threshold)),
    }


def write_agreement(
    folder: Path, comparisons: Iterable[Comparison], threshold: float, seed: int = 0
) -> list[Path]:
    """Write ``third_model.jsonl``, a comparison a line, and ``third_model.json``, the table.

    Raises:
        UserError: If they cannot be written.
    """
    held = list(comparisons)
    lines = (json.dumps(asdict(one), sort_keys=True) + "\n" for one in held)
    table = agreement_table(held, threshold, seed)
    return [
        write_whole(folder / "third_model.jsonl", lines),
        write_whole(folder / "third_model.json", json.dumps(table, indent=1) + "\n"),
    ]


def _measured(group: Sequence[Comparison], threshold: float, seed: int, draws: int) -> dict[str, Any]:
    quantities = _quantities(group, threshold)
    intervals = bootstrap_intervals(quantities, [one.video for one in group], draws=draws, seed=seed)
    numbers = {}
    for quantity in quantities:
        value = quantity.value()
        numbers[quantity.name] = {
            "value": None if math.isnan(value) else round(value, 4),
            "interval": [round(end, 4) for end in intervals[quantity.name]]
            if quantity.name in intervals
            else None,
        }
    return {"questions": len(group), "videos": len({one.video for one in group}), **numbers}


def _quantities(group: Sequence[Comparison], threshold: float) -> list[Quantity]:
    writers = sorted({name for one in group for name in one.third})
    found = [mean("similarity", [one.pair for one in group])]
    for name in writers:
        values = [one.third[name] for one in group]
        found.append(mean(f"similarity:{name}", values))
        found.append(mean(f"at_threshold:{name}", [float(value >= threshold) for value in values]))
    named = [one.shared_terms for one in group]
    confirmed = [one.shared_terms - len(one.missed_terms) for one in group]
    return [
        *found,
        mean("apart", [float(one.apart(threshold)) for one in group]),
        ratio("terms_confirmed", confirmed, named),
        mean("contradictions", [one.contradictions for one in group]),
    ]
