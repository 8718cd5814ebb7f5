"""The ablations' report: one Markdown file whose sentences and tables follow from the JSON beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medgrpo.ablation.report.controlled import controlled_section
from medgrpo.ablation.report.judges import judges_section
from medgrpo.ablation.report.simulated import simulated_section
from medgrpo.ablation.report.trained import trained_section

__all__ = ["SECTIONS", "report"]

SECTIONS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "trained": ("Rows A to E, trained on the synthetic world", trained_section),
    "simulated": ("The whole grid, with simulated policies", simulated_section),
    "controlled": ("Scale, curvature, drift and mixing, on groups of known scores", controlled_section),
    "judges": ("Judges on corrupted captions", judges_section),
}
"""Part to its title and what lays it out."""

_LIMITS = (
    "The trained rows show a model of 1.3 million parameters on drawn videos: what they do not show may "
    "well appear in a 7B model on surgical ones, and the other way round. The simulated policies and the "
    "controlled experiments show what the arithmetic of rewards does, with as many seeds as it takes; "
    "their effect sizes are those of the world that was laid out for them. No claim about surgical video "
    "follows from this page."
)


def report(
    parts: Mapping[str, Mapping[str, Any]], pictures: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The report.

    Args:
        parts: Results by name of :data:`SECTIONS`, those that were run.
        pictures: Files by part, beside the page.
    """
    made = "Made by `medgrpo ablate`; every number is in the JSON files that it writes beside its report."
    head = f"# Ablations\n\n{made}"
    sections = [head, _LIMITS]
    for name, (title, lay_out) in SECTIONS.items():
        if name in parts:
            shown = [f"![{title}]({file})" for file in (pictures or {}).get(name, ())]
            sections += [f"## {title}", *shown, lay_out(parts[name])]
    return "\n\n".join(sections) + "\n"
