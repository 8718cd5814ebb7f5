"""Claims about scale, curvature, drift and mixing, each on a million groups of known scores, untrained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medgrpo.ablation.controlled.curvature import curvature
from medgrpo.ablation.controlled.drift import drift
from medgrpo.ablation.controlled.mix import mix
from medgrpo.ablation.controlled.scale import scale

__all__ = ["controlled_report", "curvature", "drift", "mix", "scale"]

_EXPERIMENTS: dict[str, Callable[[int, int, int], dict[str, Any]]] = {
    "scale": scale,
    "curvature": curvature,
    "drift": drift,
    "mix": mix,
}


def controlled_report(
    groups: int = 1_000_000,
    blocks: int = 20,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Run the four experiments.

    Args:
        groups: Of eight answers, in each.
        blocks: Independent repetitions that they are spread over; intervals are Student's over blocks.
        seed: Of everything.
        progress: Told after each experiment how many are done, of how many, and its name.

    Returns:
        Ready for JSON: ``scale``, ``curvature``, ``drift``, ``mix``; see the functions of these names.
    """
    found = {}
    for index, (name, experiment) in enumerate(_EXPERIMENTS.items()):
        found[name] = experiment(groups, blocks, seed)
        if progress is not None:
            progress(index + 1, len(_EXPERIMENTS), name)
    return found
