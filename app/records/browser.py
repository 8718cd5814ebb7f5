"""What the page Data shows for a choice; independent of Gradio."""

from __future__ import annotations

from urllib.parse import urlencode

from app.records.catalogue import Filters
from app.records.library import Library, RecordsFile, whole_number
from app.records.listing import Listing, list_rows, start_before
from app.records.overview import counts_page, empty_page, quarantine_page, status_line
from app.records.prompts import Prompts
from app.records.record import broken_page, record_page
from app.show.frame import page
from app.show.html import Html, el, note
from app.show.words import task_words
from app.sources import Sources
from medgrpo.errors import UserError

__all__ = ["LONGEST_TEXT", "READING", "Browser"]

LONGEST_TEXT = 200
"""Letters of a text that is looked for."""

READING = "reading"
"""How the stage of a file ends of which more will be known."""

Choices = list[tuple[str, str]]


class Browser:
    """The files and what is said about them.

    Args:
        library: The files.
        sources: Sampling policy and model.
    """

    def __init__(self, library: Library, sources: Sources) -> None:
        self.library = library
        self.prompts = Prompts(sources)

    def file(self, number: str | None) -> RecordsFile | None:
        """A file by what its choice holds; None where none is chosen.

        Raises:
            UserError: If there is no such file.
        """
        return self.library.file(number) if number and self.library.files else None

    def overview(self, number: str | None) -> tuple[Html, Html, Html]:
        """Status, counts and rows that are set aside."""
        try:
            file = self.file(number)
        except UserError as error:
            return page(note(error, "warning")), page(), page()
        if file is None:
            return page(empty_page()), page(), page()
        aside = quarantine_page(file.state, self.library.set_aside(file), str(number))
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
        return f"{number} {state.version} {'done' if state.done else READING}"

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

    def rows(self, number: str | None, first: float | None, *choices: str) -> Listing:
        """The list of rows under the filters.

        Args:
            number: Of the file.
            first: Number of the row to begin with.
            choices: Dataset, task, text, and ``defects`` for rows with a defect only; empty ones pass all.

        Raises:
            UserError: If the file cannot be read any more.
        """
        file = self.file(number)
        if file is None or file.state.catalogue is None:
            return Listing()
        return list_rows(
            file.state.catalogue, _filters(file, *choices), max(0, int(first or 0)), file.defects
        )

    def start_before(self, number: str | None, first: float | None, *choices: str) -> int:
        """The row at which the list begins that ends before a row; arguments as of :meth:`rows`.

        Raises:
            UserError: If the file cannot be read any more.
        """
        file = self.file(number)
        if file is None or file.state.catalogue is None:
            return 0
        return start_before(file.state.catalogue, _filters(file, *choices), max(0, int(first or 0)))

    def record(self, number: str | None, row: str) -> Html:
        """One row, or why it cannot be shown."""
        if not number or not row:
            return page(note("Choose a row in the list above to look at it."))
        try:
            file = self.file(number)
            if file is None:
                return page(note("There is no such records file.", "warning"))
            chosen = whole_number(row)
            if chosen is None:
                return page(note("A row has a number, from 0.", "warning"))
            return page(self._links(number, row), self._record(file, chosen))
        except UserError as error:
            return page(note(error, "warning"))

    def _record(self, file: RecordsFile, row: int) -> Html:
        catalogue = file.state.catalogue
        if catalogue is None:
            return status_line(file)
        value = catalogue.value(row)
        if not isinstance(value, dict):
            problems = [f"{file.path.name}: {defect}" for defect in file.defects.get(row, ())]
            return broken_page(catalogue.read(row).decode("utf-8", "replace"), problems)
        return record_page(value, row, file.path, file.media, self.prompts)

    def _links(self, number: str, row: str) -> Html:
        query = "?" + urlencode({"file": number, "row": row})
        ask = el("a", "Ask a model about this row", href=f"/ask/{query}")
        return el("p", el("a", "Link to this row", href=query), " · ", ask, class_="small")


def _filters(file: RecordsFile, dataset: str, task: str, text: str, which: str) -> Filters:
    return Filters(dataset, task, text[:LONGEST_TEXT].strip(), file.defects if which == "defects" else None)
