"""The controlled experiments as Markdown: scale, curvature, drift, mixing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medgrpo.ablation.report.markdown import number, shown, table

__all__ = ["controlled_section"]

Results = Mapping[str, Any]


def controlled_section(results: Results) -> str:
    """All tables of the experiments.

    Args:
        results: Of :func:`medgrpo.ablation.controlled.controlled_report`.
    """
    scale, curvature, drift, mix = (results[name] for name in ("scale", "curvature", "drift", "mix"))
    return "\n\n".join(
        [
            f"Groups of eight answers with known scores, untrained: {scale['groups']:,} for scale, "
            f"{curvature['groups']:,} for curvature, {drift['groups']:,} for drift, {mix['groups']:,} for "
            "mixing.",
            "### Scale: who drives the step",
            "Share of the squared advantage by pair, and the largest over the smallest.",
            _scale(scale),
            "### Scale: what is left of a normalizer behind the group's standard deviation",
            "Advantages against those of raw rewards. For pairs with one reward an affine rescaling "
            "cancels up to rounding; what differs with the usual epsilon of 1e-4 is the epsilon. In "
            "captions, which mix two rewards, the scale of each stays.",
            _cancel(scale["cancel"]),
            "### Curvature: the logistic behind the group's standard deviation",
            f"k = {curvature['k']:g}. Position and spread of a group's scores in units of the statistics' "
            "IQR, from their median. `order` is the share of pairs of answers whose advantages change "
            "sign.",
            _curvature(curvature["rows"]),
            "### Drift: static against adaptive percentiles",
            "The policy has moved by so many IQR; `slope` is what the static logistic has left of its "
            "slope, `share` the moved pair's share of the squared advantage without a standard deviation "
            "(half is even).",
            _drift(drift["rows"]),
            "### Mixing: half similarity, half judge",
            "Correlation of the mixed advantage with that of each reward alone; with raw scores the judge, "
            "whose units are larger, decides alone.",
            _mix(mix["rows"]),
        ]
    )


def _scale(found: Results) -> str:
    rows = [
        [
            name,
            *(number(share[pair]["mean"]) for pair in found["pairs"]),
            shown(found["spread"][name], 2, signed=False),
        ]
        for name, share in found["shares"].items()
    ]
    return table(["", *found["pairs"], "largest / smallest"], rows)


def _cancel(found: Results) -> str:
    head = [
        "",
        *(f"{part}: {what}" for part in ("one reward", "captions") for what in ("exact", "eps 1e-4", "r")),
    ]
    keys = [(part, what) for part in ("single", "captions") for what in ("exact", "default", "correlation")]
    rows = []
    for name, numbers in found.items():
        cells = [
            shown(value, 4, signed=False) if isinstance(value, Mapping) else f"{value:.2g}"
            for value in (numbers[f"{part} {what}"] for part, what in keys)
        ]
        rows.append([name, *cells])
    return table(head, rows)


def _curvature(found: Any) -> str:
    rows = [
        [
            f"{row['position']:+g}",
            f"{row['spread']:g}",
            shown(row["correlation"], signed=False),
            shown(row["flips"], signed=False),
        ]
        for row in found
    ]
    return table(["position", "spread", "correlation with raw", "order"], rows)


def _drift(found: Any) -> str:
    rows = [
        [
            f"{row['shift']:g}",
            number(row["slope"]),
            *(shown(row["share"][kind], signed=False) for kind in ("static", "adaptive")),
            *(shown(row["correlation"][kind], signed=False) for kind in ("static", "adaptive")),
        ]
        for row in found
    ]
    head = ["moved by", "slope", "share, static", "share, adaptive", "r with raw, static", "r, adaptive"]
    return table(head, rows)


def _mix(found: Any) -> str:
    rows = [
        [
            f"{row['normalizer']}, {row['advantage']}",
            shown(row["similarity"], signed=False),
            shown(row["judge"], signed=False),
        ]
        for row in found
    ]
    return table(["", "similarity", "judge"], rows)
