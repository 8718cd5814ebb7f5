"""What the page Data shows for a choice; independent of Gradio."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from app.records.library import Library, RecordsFile
from app.records.overview import counts_page, empty_page, quarantine_page, status_line
from app.records.prompts import Prompts
from app.records.record import broken_page, record_page
from app.show.frame import page
from app.show.html import Html, el, note
from app.show.words import task_words
from app.sources import Sources
from medgrpo.data.row_fields import inspect_fields
from medgrpo.errors import UserError

__all__ = ["COLUMNS", "LIMIT", "READING", "Browser"]

COLUMNS = ["Row", "Dataset", "Task", "Clip", "Question", "Reference answer", "Remark"]
"""Headings of the list of rows."""

LIMIT = 200
"""Rows that are listed at a time."""

READING = "reading"
"""How the stage of a file ends of which more will be known."""

_CUT = 110

Choices = list[tuple[str, str]]


class Browser:
    """The files and what is said about them.

    Args:
        sources: Records and model.
        runs: Folder that training writes to.
    """

    def __init__(self, sources: Sources, runs: Path) -> None:
        self.library = Library(sources.records, runs)
        self.prompts = Prompts(sources)

    def file(self, number: str | None) -> RecordsFile | None:
        """A file by what its choice holds; None if there is none."""
        return self.library[int(number)] if number and number.isdecimal() and self.library.files else None

    def overview(self, number: str | None) -> tuple[Html, Html, Html]:
        """Status, counts and rows that are set aside."""
        try:
            file = self.file(number)
        except UserError as error:
            return page(note(error, "warning")), page(), page()
        if file is None:
            return page(empty_page()), page(), page()
        aside = quarantine_page(file.state, self.library.set_aside(file))
        return page(status_line(file)), page(counts_page(file.state)), page(aside)

    def stage(self, number: str | None) -> str:
        """Changes whenever more is known of a file than how many of its rows were checked."""
        try:
            file = self.file(number)
        except UserError:
            return "none"
        if file is None:
            return "none"
        state = file.state
        return f"{number} {id(state)} {'done' if state.done else READING}"

    def waits(self, number: str | None) -> bool:
        """Whether a file is there whose rows cannot be listed yet."""
        file = self.file(number)
        return file is not None and file.state.catalogue is None and not file.state.done

    def status(self, number: str | None) -> Html:
        """How far the reading has come."""
        file = self.file(number)
        return page(empty_page() if file is None else status_line(file))

    def filters(self, number: str | None) -> tuple[Choices, Choices]:
        """(label, value) choices of the dataset and task filters."""
        file = self.file(number)
        counts = {} if file is None or file.state.catalogue is None else file.state.catalogue.counts
        datasets = sorted({dataset for dataset, _ in counts})
        tasks = sorted({task for _, task in counts}, key=task_words)
        return (
            [("All datasets", ""), *((name, name) for name in datasets)],
            [("All tasks", ""), *((task_words(name), name) for name in tasks)],
        )

    def rows(
        self, number: str | None, dataset: str, task: str, text: str, first: float | None, which: str
    ) -> list[list[str]]:
        """The list of rows under the filters, at most :data:`LIMIT`.

        Args:
            number: Of the file.
            dataset: Empty passes all; so do the others.
            task: Canonical name.
            text: Anywhere in a row.
            first: Number of the first row.
            which: ``defects`` for rows with a defect only.

        Raises:
            UserError: If the file cannot be read any more.
        """
        file = self.file(number)
        if file is None or file.state.catalogue is None:
            return []
        bad = {} if file.state.findings is None else file.state.findings.by_row
        found = file.state.catalogue.rows(
            dataset=dataset,
            task=task,
            text=text.strip(),
            first=max(0, int(first or 0)),
            among=bad if which == "defects" else None,
            limit=LIMIT,
        )
        return [self._cells(file, row, len(bad.get(row, ()))) for row in found]

    def record(self, number: str | None, row: str) -> Html:
        """One row, or why it cannot be shown."""
        if not number or not row:
            return page(note("Choose a row in the list above to look at it."))
        try:
            file = self.file(number)
            if file is None:
                return page(note("There is no such records file.", "warning"))
            if not row.isdecimal():
                return page(note("A row has a number, from 0.", "warning"))
            return page(self._links(number, row), self._record(file, int(row)))
        except UserError as error:
            return page(note(error, "warning"))

    def name(self, number: str | None, row: str) -> str:
        """What the audit log calls a row."""
        file = self.file(number)
        return f"{file.path.name if file else 'no file'} row {row}"

    def _record(self, file: RecordsFile, row: int) -> Html:
        catalogue, findings = file.state.catalogue, file.state.findings
        if catalogue is None:
            return status_line(file)
        value = catalogue.value(row)
        if not isinstance(value, dict):
            told = [] if findings is None else findings.by_row.get(row, [])
            problems = [f"{file.path.name}: {defect}" for defect in told]
            return broken_page(catalogue.read(row).decode("utf-8", "replace"), problems)
        return record_page(value, row, file.path, file.media, self.prompts)

    def _links(self, number: str, row: str) -> Html:
        query = "?" + urlencode({"file": number, "row": row})
        ask = el("a", "Ask a model about this row", href=f"/ask/{query}")
        return el("p", el("a", "Link to this row", href=query), " · ", ask, class_="small")

    def _cells(self, file: RecordsFile, row: int, defects: int) -> list[str]:
        assert file.state.catalogue is not None
        value = file.state.catalogue.value(row)
        remark = f"{defects} defect{'s' if defects > 1 else ''}" if defects else ""
        if not isinstance(value, dict):
            return [str(row), "", "", "", "not readable", "", remark]
        fields, errors = inspect_fields(value)
        remark = remark or ("defect" if errors else "")
        # The question itself comes last, after sentences on who asks.
        asked = fields.question if len(fields.question) <= _CUT else "… " + fields.question[-_CUT:]
        answer = fields.answer or ""
        answer = answer if len(answer) <= _CUT else answer[:_CUT] + " …"
        task = task_words(fields.task) if fields.task else ""
        return [str(row), fields.dataset, task, fields.video_id, asked, answer, remark]
