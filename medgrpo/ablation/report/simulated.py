"""The simulated policies as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medgrpo.ablation.report.markdown import differs, number, shown, table

__all__ = ["simulated_section", "simulated_verdicts"]

Results = Mapping[str, Any]

COLUMNS = {
    "mean": "all pairs in the mix",
    "grounding": "grounding",
    "worst": "worst pair",
    "outside": "outside",
}


def simulated_section(results: Results) -> str:
    """All tables of the simulated policies.

    Args:
        results: Of :func:`medgrpo.ablation.simulated.simulated_report`.
    """
    return "\n\n".join(
        [
            f"{len(results['seeds'])} seeds, {len(results['pairs'])} (dataset, task) pairs that share the "
            "weights of a small network; rewards, advantages and loss are the project's own classes. "
            "Numbers are changes of the greedy metric (0 to 1) against the fine-tuned policy, paired by "
            "seed, with Student's interval of 95%; bold ones leave 0 out. `outside` are the pairs that are "
            "not in the RL mix.",
            "\n".join(f"- {line}" for line in simulated_verdicts(results)),
            "### All arms",
            _arms(results["arms"]),
            "### Comparisons: the second arm minus the first",
            _comparisons(results["comparisons"]),
            "### Share of the squared advantage by pair, first rounds",
            _shares(results),
            "### Change by pair",
            _pairs(results),
            "### The worst pair's change, every seed",
            _every_seed(results["arms"]),
        ]
    )


def simulated_verdicts(results: Results) -> Iterator[str]:
    """One sentence a comparison."""
    for found in results["comparisons"]:
        mean, grounding = found["mean"], found["grounding"]
        told = "differs" if differs(mean) or differs(grounding) else "does not differ"
        yield (
            f"`{found['second']}` {told} from `{found['first']}`: all pairs that both train {shown(mean)}, "
            f"grounding {shown(grounding)}."
        )


def _arms(arms: Results) -> str:
    head = ["arm", *COLUMNS.values(), "valid format outside"]
    rows = [
        [
            name,
            *(shown(arm[key]) for key in COLUMNS),
            shown(arm["outside_validity"], signed=False),
        ]
        for name, arm in arms.items()
    ]
    return table(head, rows)


def _comparisons(found: Any) -> str:
    keys = ("mean", "grounding", "worst", "outside_first")
    rows = [[f"{one['first']} → {one['second']}", *(shown(one[key]) for key in keys)] for one in found]
    return table(["", "pairs in both mixes", "grounding", "worst pair", "outside the first's mix"], rows)


def _shares(results: Results) -> str:
    trained = [pair for pair in results["pairs"] if pair in _mixed(results)]
    rows = [
        [name, *(number(arm["share"][pair]["mean"], 3) for pair in trained)]
        for name, arm in results["arms"].items()
        if arm["in_mix"] == _mixed(results)
    ]
    return table(["", *trained], rows)


def _mixed(results: Results) -> list[str]:
    """Pairs of the first arm's mix, which is that of the grid."""
    first = next(iter(results["arms"].values()))
    return list(first["in_mix"])


def _pairs(results: Results) -> str:
    rows = [
        [name, *(number(arm["change"][pair]["mean"], 3, signed=True) for pair in results["pairs"])]
        for name, arm in results["arms"].items()
    ]
    return table(["", *results["pairs"]], rows)


def _every_seed(arms: Results) -> str:
    rows = [
        [name, " ".join(number(value, 2, signed=True) for value in arm["worst"]["values"])]
        for name, arm in arms.items()
    ]
    return table(["", "by seed"], rows)
