"""A records file as a whole: how far it has been read, what is in it, which rows are set aside and why."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from app.records.library import RecordsFile, State
from app.show.html import Html, el, join, note, table
from app.show.words import task_words
from medgrpo.tasks import TASKS

__all__ = ["counts_page", "empty_page", "quarantine_page", "status_line"]

_LISTED = 200
_GROUPS = 50
_OF_A_GROUP = 12


def empty_page() -> Html:
    """What to do where no file was named."""
    command = "python -m app --runs runs/ --records train.json val.json"
    return el(
        "section",
        el("h3", "No records to look at yet"),
        el("p", "Records hold the questions, reference answers and frames that a model is trained on."),
        el("p", "Name the files when you start the dashboard:"),
        el("pre", command, class_="text"),
        el("p", "python -m medgrpo synthesize makes some to try it with.", class_="muted"),
        class_="card",
    )


def status_line(file: RecordsFile) -> Html:
    """How far the reading has come, in a line."""
    state = file.state
    if state.problem:
        return note(f"This file cannot be read. {state.problem}", "warning")
    if state.findings is None:
        seen = f" {file.checked:,} rows so far." if file.checked else ""
        listed = " The list can be used already." if state.catalogue is not None else ""
        return note(f"The file is being read and checked.{seen}{listed}")
    found = state.findings.summary()
    bad = found["bad_rows"]
    words = f"{found['rows']:,} rows, {found['unanswered']:,} without a reference answer. "
    words += f"{bad:,} rows have a defect: see Set aside." if bad else "No row has a defect."
    return note(words, "warning" if bad else "info")


def counts_page(state: State) -> Html:
    """Rows of each dataset and task."""
    if state.catalogue is None:
        return note("The rows are counted when the file has been read.")
    counts = state.catalogue.counts
    datasets = sorted({dataset for dataset, _ in counts})
    tasks = sorted({task for _, task in counts}, key=lambda task: [*TASKS, task].index(task))
    rows = [
        [
            dataset,
            *(_count(counts.get((dataset, task), 0)) for task in tasks),
            _total(counts, dataset=dataset),
        ]
        for dataset in datasets
    ]
    rows.append(["All", *(_total(counts, task=task) for task in tasks), f"{len(state.catalogue):,}"])
    head = ["Dataset", *map(task_words, tasks), "All"]
    return el("section", el("h3", "Rows by dataset and task"), table(head, rows), class_="card")


def _count(number: int) -> str:
    return f"{number:,}" if number else "–"


def _total(counts: dict[tuple[str, str], int], dataset: str | None = None, task: str | None = None) -> str:
    return f"{sum(n for (d, t), n in counts.items() if dataset in (None, d) and task in (None, t)):,}"


def quarantine_page(state: State, set_aside: Sequence[tuple[str, int, str]], choice: str) -> Html:
    """Rows with defects, repeated rows, and rows that runs left out, each with a link to it.

    Args:
        state: Of the file.
        set_aside: Run, row and problem of rows whose frames a run could not read.
        choice: Number of the file, for the links.
    """
    found = state.findings
    if found is None:
        return note("The rows are being checked.")
    parts: list[Html | None] = []
    if found.defects:
        fields = sorted(found.summary()["by_field"].items(), key=lambda item: -item[1])
        lines = [[_link(choice, d.row), d.line, d.field, d.problem] for d in found.defects[:_LISTED]]
        more = len(found.defects) - len(lines)
        parts += [
            el("p", "Training stops at such rows; python -m medgrpo check with --clean leaves them out."),
            table(["Field", "Defects"], [[name, f"{count:,}"] for name, count in fields[:_GROUPS]]),
            table(["Row", "Line", "Field", "What is wrong"], lines, class_="defects"),
            _more(more),
        ]
    else:
        parts.append(el("p", "No row has a defect."))
    defects = el("section", el("h3", "Rows with defects"), *parts, class_="card")
    repeated = [
        _groups("Equal rows", "They count more than once in training.", found.identical, choice),
        _groups(
            "Rows that contradict each other",
            "They have the same name, task and question, but not the same contents.",
            found.conflicting,
            choice,
        ),
    ]
    return join([defects, *repeated, _left_out(set_aside, choice)])


def _link(choice: str, row: int) -> Html:
    return el("a", row, href="?" + urlencode({"file": choice, "row": row}))


def _more(count: int, what: str = "") -> Html | None:
    return el("p", f"and {count:,} more{what}", class_="muted") if count > 0 else None


def _groups(title: str, words: str, groups: Sequence[Sequence[int]], choice: str) -> Html | None:
    if not groups:
        return None
    items = []
    for rows in groups[:_GROUPS]:
        links = [part for row in rows[:_OF_A_GROUP] for part in (", ", _link(choice, row))][1:]
        items.append(el("li", "rows ", *links, "…" if len(rows) > _OF_A_GROUP else None))
    rest = _more(len(groups) - _GROUPS, " groups")
    return el("section", el("h3", title), el("p", words), el("ul", *items), rest, class_="card")


def _left_out(set_aside: Sequence[tuple[str, int, str]], choice: str) -> Html | None:
    if not set_aside:
        return None
    lines = [
        [run, "–" if row < 0 else _link(choice, row), problem] for run, row, problem in set_aside[:_LISTED]
    ]
    return el(
        "section",
        el("h3", "Left out by training"),
        el("p", "The frames of these rows could not be read when a run needed them."),
        table(["Run", "Row", "What is wrong"], lines),
        _more(len(set_aside) - len(lines)),
        class_="card",
    )
