"""The trained rows as Markdown, with sentences that follow from the numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medgrpo.ablation.intervals import mean_interval
from medgrpo.ablation.report.markdown import Interval, differs, number, seeds, shown, table
from medgrpo.evaluation.uncertainty import holm

__all__ = ["compared", "published", "trained_section", "trained_verdicts"]

Results = Mapping[str, Any]

COMPARED = ("TAG_mIoU@0.3", "STG_mIoU", "VS_llm", "RC_llm", "DVC_F1", "NAP_acc", "CVS_acc", "SA_acc")
"""Columns of the board, those of the RL mix first."""

SURE = 0.05


def published() -> dict[str, Any]:
    """The paper's rows, by name, and their ``source``."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    return found


def trained_section(results: Results) -> str:
    """All tables of the trained rows.

    Args:
        results: Of :func:`medgrpo.ablation.trained.trained_results`.
    """
    reference = results["reference"]
    parts = [
        f"Seeds {', '.join(map(str, results['seeds']))}: a synthetic world, one SFT checkpoint and one "
        f"statistics file each, then {results['plan']['rounds']} rounds of GRPO for every row. Intervals "
        "are Student's of 95% over seeds, of differences paired by seed; bold ones leave 0 out, and ‡ marks "
        "those that still do after Holm's correction for their family. `VS_llm` and `RC_llm` are the lexicon "
        "judge's, which also gave the rewards; the paper's are GPT-4.1's.",
        *trained_verdicts(results),
        "### The board, greedy answers to the test split",
        _levels(results),
        "### Change against the SFT checkpoint",
        _changes(results["change"], "board"),
        f"### Difference to {reference}",
        _changes(results["difference"], "board"),
        "### The same differences seed by seed",
        _by_seed(results["difference"]),
        "### What the paper published",
        published()["source"] + ".",
        _published(reference),
        "### Change against SFT by dataset and task (strict score, greedy)",
        _changes(results["change"], "score", turned=True),
        "### Valid format by dataset and task, change against SFT",
        _changes(results["change"], "valid", turned=True),
        "### Raw rewards of sampled answers (temperature 1), change against SFT",
        _changes(results["change"], "sampled", turned=True),
        "### Where the gradient comes from",
        "Share of each dataset in the first step's gradient of every tenth round.",
        _levels_of(results["training"], "gradient_share"),
        "### Entropy of the answers, and their distance from the start",
        _ends(results["training"]),
    ]
    return "\n\n".join(parts)


def trained_verdicts(results: Results) -> list[str]:
    """What differs, what the paper says of it, and how much of it chance would bring."""
    parts = (_collapse, _differences, _form, _chance, _blind)
    return ["\n".join(f"- {line}" for part in parts for line in part(results))]


def _collapse(results: Results) -> Iterator[str]:
    """The paper's main claim, if the row without normalisation was trained."""
    arm, rows = "B no normalisation", published()
    found = results["difference"].get(arm)
    if found is None or results["reference"] not in rows:
        return
    paper, full = rows[arm], rows[results["reference"]]
    for column in (name for name in COMPARED if name in paper and name in found["board"]):
        ours, theirs = found["board"][column], paper[column] - full[column]
        yield (
            f"Without normalisation (B minus A), {column}: {shown(ours)}; the paper has "
            f"{number(theirs, signed=True)}: {compared(ours, theirs)}."
        )


def compared(ours: Interval, theirs: float) -> str:
    """Whether a published difference is reproduced, which takes more than that none was seen.

    Args:
        ours: Our difference over seeds.
        theirs: The published one, of one run.
    """
    if ours["low"] is None:
        return f"undecided, there is no interval (n = {ours['n']})"
    inside = ours["low"] <= theirs <= ours["high"]
    if differs(ours) and (ours["mean"] > 0) == (theirs > 0):
        size = "its size is within the interval" if inside else "in direction, its size is not"
        return f"reproduced ({size})"
    if differs(ours):
        return "not reproduced, the direction is the opposite"
    if inside:
        return "undecided, both 0 and the paper's number are within the interval"
    return "not reproduced, a difference of that size is outside the interval"


def _differences(results: Results) -> Iterator[str]:
    for arm, found in results["difference"].items():
        board = {column: found["board"][column] for column in COMPARED if column in found["board"]}
        clear = [f"{column} {shown(interval)}" for column, interval in board.items() if differs(interval)]
        known = any(interval["low"] is not None for interval in board.values())
        nothing = "no column's interval leaves 0 out" if known else "no interval, which takes two seeds"
        yield f"{arm} against {results['reference']}: {'; '.join(clear) or nothing}."


def _form(results: Results) -> Iterator[str]:
    """Where a row leaves the published form: metrics read such answers all the same."""
    for arm, found in results["change"].items():
        fallen = [
            f"{name} {shown(interval)}"
            for name, interval in found["valid"].items()
            if differs(interval) and interval["mean"] < 0
        ]
        if fallen:
            yield f"{arm}: fewer answers in the published form than SFT's: {'; '.join(fallen)}."


KINDS = ("board", "score", "valid", "sampled")
FAMILIES = {"difference": "differences between rows", "change": "changes against SFT"}


def _p_values(found: Results) -> dict[tuple[str, str, str], float]:
    """By arm, kind and name, of all intervals of a family."""
    return {
        (arm, kind, name): interval["p"]
        for arm, own in found.items()
        for kind in KINDS
        for name, interval in own.get(kind, {}).items()
        if interval["p"] is not None
    }


def _sure(found: Results) -> set[tuple[str, str, str]]:
    """What survives Holm's correction for the whole family."""
    tested = _p_values(found)
    return {key for key, p in zip(tested, holm(list(tested.values())), strict=True) if p < SURE}


def _chance(results: Results) -> Iterator[str]:
    """How many of all intervals leave 0 out, and which survive a correction for their number."""
    for family, title in FAMILIES.items():
        tested, sure = _p_values(results[family]), _sure(results[family])
        below = sum(p < SURE for p in tested.values())
        names = "; ".join(f"{arm}, {name}" for arm, _, name in sorted(sure))
        yield (
            f"Of {len(tested)} {title}, {below} have p < {SURE} (by chance alone, at most "
            f"{SURE * len(tested):.0f} on average), and {len(sure)} after Holm's correction for all of them"
            f"{f': {names}' if names else ''}."
        )


def _blind(results: Results) -> Iterator[str]:
    """Which columns say anything about video at this scale."""
    sets = results["sets"]
    if not {"blind", "SFT"} <= sets.keys():
        return
    seen: list[str] = []
    unseen: list[str] = []
    for column in COMPARED:
        pair = [sets[name]["board"].get(column) for name in ("SFT", "blind")]
        if None in pair:
            continue
        values = [[math.nan if one is None else one for one in interval["values"]] for interval in pair]
        gain = mean_interval([seeing - blind for seeing, blind in zip(*values, strict=True)])
        above = gain["low"] is not None and gain["low"] > 0
        (seen if above else unseen).append(f"{column} {shown(gain)}")
    yield f"SFT above its own answers to wrong videos: {'; '.join(seen) or 'no column'}."
    if unseen:
        yield (
            f"Not shown to use the video: {'; '.join(unseen)}. What rewards do to these columns is no "
            "evidence about video."
        )


def _levels(results: Results) -> str:
    rows = [
        [name, *(shown(found["board"].get(column), signed=False) for column in COMPARED)]
        for name, found in results["sets"].items()
    ]
    return table(["", *COMPARED], rows)


def _changes(found: Results, kind: str, *, turned: bool = False) -> str:
    """Arms down and names across, or turned."""
    names = sorted({name for arm in found.values() for name in arm.get(kind, {})})
    if kind == "board":
        names = [name for name in COMPARED if name in names]
    sure = _sure(found)
    cells = {
        (arm, name): shown(own.get(kind, {}).get(name)) + (" ‡" if (arm, kind, name) in sure else "")
        for arm, own in found.items()
        for name in names
    }
    if turned:
        return table(["", *found], [[name, *(cells[arm, name] for arm in found)] for name in names])
    return table(["", *names], [[arm, *(cells[arm, name] for name in names)] for arm in found])


def _by_seed(found: Results) -> str:
    rows = [
        [arm, *(seeds(own["board"][column]) if column in own["board"] else "-" for column in COMPARED)]
        for arm, own in found.items()
    ]
    return table(["", *COMPARED], rows)


def _published(reference: str) -> str:
    rows = published()
    full = rows.get(reference, {})
    body = []
    for name, row in rows.items():
        if name != "source":
            cells = [
                f"{number(row.get(column))} ({number(row[column] - full[column], signed=True)})"
                if column in row and column in full and name != reference
                else number(row.get(column))
                for column in COMPARED
            ]
            body.append([f"{name} (published)", *cells])
    return table([f"in brackets: minus {reference}", *COMPARED], body)


def _levels_of(found: Results, kind: str) -> str:
    names = sorted({name for arm in found.values() for name in arm[kind]})
    rows = [
        [arm, *(shown(own[kind].get(name), signed=False) for name in names)] for arm, own in found.items()
    ]
    return table(["", *names], rows)


def _ends(found: Results) -> str:
    rows = [
        [
            arm,
            shown(own["entropy"].get("first"), signed=False),
            shown(own["entropy"].get("last"), signed=False),
            shown(own["start_kl"].get("last"), signed=False),
        ]
        for arm, own in found.items()
    ]
    return table(["", "entropy, first round (nats)", "last round", "divergence from the start (nats)"], rows)
