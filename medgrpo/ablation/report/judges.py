"""Judges on corrupted captions as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medgrpo.ablation.report.markdown import shown, table

__all__ = ["judges_section"]

Results = Mapping[str, Any]


def judges_section(results: Results) -> str:
    """All tables of the comparison.

    Args:
        results: Of :func:`medgrpo.ablation.judges.judges_report`, and ``missing``: judges that were not
            asked, with the reason.
    """
    judges = results["judges"]
    kinds = list(next(iter(judges.values()))["kinds"]) if judges else []
    head = ["corruption", *judges]
    rows = [
        [
            kind,
            *(
                shown(found["kinds"][kind]["within"]["paraphrase"], 2, signed=False)
                for found in judges.values()
            ),
        ]
        for kind in kinds
    ]
    rows.append(
        ["all kinds", *(shown(found["all"]["paraphrase"], 2, signed=False) for found in judges.values())]
    )
    further = [
        ["failed judgements", *(str(found["failed"]) for found in judges.values())],
        [
            "tau of score and number of errors",
            *(shown(f["ladder"], 2, signed=False) for f in judges.values()),
        ],
        ["what a plea to the judge adds", *(shown(f["addressed"], 2) for f in judges.values())],
    ]
    parts = [
        f"{results['references']} reference captions, each corrupted by script. Cells are the share of "
        "references of which a true rewording scores above the corruption (a tie counts half; 0.5 is "
        "guessing), with bootstrap intervals over references.",
        table(head, rows),
        table(["", *judges], further),
    ]
    parts += [f"Not asked: {name} ({why})." for name, why in results.get("missing", {}).items()]
    examples = [
        [kind, told["text"]] for kind, told in results.get("examples", {}).items() if told and kind in kinds
    ]
    if examples:
        first = next(told for told in results["examples"].values() if told)
        parts += [f"Examples, of references such as: {first['reference']}", table(["kind", "text"], examples)]
    return "\n\n".join(parts)
