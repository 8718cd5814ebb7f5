"""The data card of a build: what is in it, how it was made, what may be done with it and what it is not.

The text is ``data_card.md``; here are the tables and numbers in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import medgrpo
from medgrpo.data.build.output.manifest import Provenance
from medgrpo.data.build.output.statistics import Statistics

__all__ = ["data_card"]


def data_card(
    provenance: Provenance,
    statistics: Statistics,
    verification: Mapping[str, Any],
    splits: Mapping[str, Any],
) -> str:
    """The card as Markdown, with the header that the Hugging Face hub reads.

    Args:
        provenance: What the build was made from.
        statistics: Of its records.
        verification: The report of verification.
        splits: Settings and counts of the splits, as in the manifest.
    """
    text = (resources.files("medgrpo.data.build.output") / "data_card.md").read_text(encoding="utf-8")
    return text.format(
        data_files="\n".join(
            f"  - split: {split}\n    path: data/{split}-*.parquet" for split in splits["videos"]
        ),
        name=provenance.name,
        version=medgrpo.__version__,
        counts=_counts(statistics),
        statistics=_statistics(statistics),
        licences=_licences(provenance),
        prompts=len(provenance.prompts),
        encoder=verification["encoder"],
        threshold=verification["threshold"],
        writers=_writers(provenance),
        verification=_verification(verification["by_source"]),
        shares=", ".join(f"{name} {share:g}" for name, share in splits["fractions"].items()),
        seed=splits["seed"],
        official_test=splits["official_test"],
        splits=_table(["split", "operations"], [[name, str(n)] for name, n in splits["videos"].items()]),
        near_duplicates=splits["near_duplicates"],
        unchecked=verification["total"]["terms_unchecked"],
        privacy=_privacy(provenance),
    )


def _counts(statistics: Statistics) -> str:
    splits = sorted({split for split, *_ in statistics.rows})
    keys = sorted({(source, task, level) for _, source, task, level in statistics.rows})
    rows = [[*key, *(str(statistics.rows[(split, *key)]) for split in splits)] for key in keys]
    totals = [str(sum(n for (own, *_), n in statistics.rows.items() if own == split)) for split in splits]
    return _table(["source", "task", "level", *splits], [*rows, ["all", "", "", *totals]])


def _statistics(statistics: Statistics) -> str:
    table = statistics.table()
    words, seconds = table["answer_words"], table["clip_seconds"]
    if not words["n"]:
        return "There are no records."
    rates = ", ".join(f"{name} ({share:.1%})" for name, share in table["rates"].items() if share)
    lines = (
        f"Answers have {words['least']:g} to {words['most']:g} words, half of them at most {words['p50']:g}; "
        f"{words['share_up_to_5']:.1%} have 5 or fewer, {words['share_over_20']:.1%} more than 20.",
        f"Clips last {seconds['least']:g} to {seconds['most']:g} seconds, those of half of the records "
        f"at most {seconds['p50']:g}.",
        f"Frames a second, about: {rates}.",
        "More, and what the paper says of its corpus, is in `statistics.json`; `plots/` shows it.",
    )
    return "\n".join(f"- {line}" for line in lines)


def _licences(provenance: Provenance) -> str:
    rows = [
        [name, facts.licence.strip(" -") or "not stated: ask its authors", facts.homepage or "-"]
        for name, facts in sorted(provenance.sources.items())
    ]
    return _table(["source", "licence", "from"], rows)


def _writers(provenance: Provenance) -> str:
    if not provenance.writers:
        return "No text was written by a model."
    names = sorted({name for facts in provenance.writers.values() for name in facts})
    rows = [
        [writer, *(str(facts.get(name, "-")) for name in names)]
        for writer, facts in sorted(provenance.writers.items())
    ]
    return _table(["writer", *names], rows)


def _verification(sources: Mapping[str, Any]) -> str:
    checks = sorted({check for row in sources.values() for check in row["rejected"]})
    rows = [
        [source, str(row["questions"]), str(row["kept"]), *(str(row["rejected"].get(c, 0)) for c in checks)]
        for source, row in sources.items()
    ]
    return _table(["source", "questions", "kept", *(f"rejected: {check}" for check in checks)], rows)


def _privacy(provenance: Provenance) -> str:
    remote = sorted(name for name, facts in provenance.writers.items() if facts.get("remote"))
    if not remote:
        return "Nothing was sent to a remote server."
    return (
        "Frames, labels and, for web videos, speech were sent to the remote servers of these writers: "
        f"{', '.join(remote)}."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in rows)])
