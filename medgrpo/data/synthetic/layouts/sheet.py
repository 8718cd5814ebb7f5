"""Excel files, the same bytes for the same cells."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from medgrpo.errors import MissingExtraError

__all__ = ["write_sheet"]

_WHEN = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*")


def write_sheet(
    path: Path,
    lines: Sequence[Sequence[str | float | None]],
    sheet: str = "Sheet1",
    merged: Sequence[str] = (),
) -> None:
    """Write one sheet.

    Args:
        path: Ends with ``.xlsx``.
        lines: Cells of each line, from the first on.
        sheet: Its name.
        merged: Ranges that are one cell, e.g. ``A1:E1``.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError("openpyxl", "build") from None
    book = openpyxl.Workbook()
    page = book.active
    page.title = sheet
    for line in lines:
        page.append(list(line))
    for cells in merged:
        page.merge_cells(cells)
    written = io.BytesIO()
    book.save(written)
    # The file tells when it was written, inside and in the archive's own entries.
    with zipfile.ZipFile(written) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name in archive.namelist():
            content = _WHEN.sub(rb"\g<1>2000-01-01T00:00:00Z", archive.read(name))
            out.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
