"""Scores as one document: a self-contained HTML page, or Markdown with its pictures beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError
from medgrpo.evaluation import plots, tables
from medgrpo.evaluation.official import rank
from medgrpo.evaluation.paired import difference_table, paired_differences
from medgrpo.evaluation.scores import Scores
from medgrpo.services.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Section", "sections_of", "write_report"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; } img { max-width: 100%; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px; text-align: left; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th { border-bottom: 1px solid #888; } .n { text-align: right; } tbody tr:hover { background: #f6f8fa; }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the document.

    Attributes:
        title: Heading.
        text: What the reader should know about it.
        table: In the document's style; empty for none.
        figures: File stem to picture.
    """

    title: str
    text: str = ""
    table: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)


def write_report(path: str | Path, sets: Mapping[str, Scores]) -> list[Path]:
    """Write the document, HTML or Markdown by the name's ending.

    Args:
        path: ``.html`` or ``.md``.
        sets: Name to scores, all of one protocol; strict ones are compared with the first.

    Returns:
        The files written.

    Raises:
        UserError: For another ending, mixed protocols, or if a file cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".html", ".md"):
        raise UserError(f"{path}: a report ends in .html or .md")
    if len({scores.protocol for scores in sets.values()}) > 1:
        raise UserError("a report holds scores of one protocol; official and strict numbers do not compare")
    style = "html" if path.suffix == ".html" else "markdown"
    sections = sections_of(sets, style)
    title = "Scores of " + ", ".join(sets)
    if style == "html":
        return [write_whole(path, _html_page(title, sections))]
    written = []
    parts = [f"# {title}"]
    for section in sections:
        parts += [f"## {section.title}", section.text, section.table]
        for stem, figure in section.figures.items():
            picture = path.with_name(f"{path.stem}_{stem}.png")
            written.append(write_whole(picture, _png(figure)))
            parts.append(f"![{section.title}]({picture.name})")
    return [write_whole(path, "\n\n".join(part for part in parts if part) + "\n"), *written]


def sections_of(sets: Mapping[str, Scores], style: str) -> list[Section]:
    """The parts of the document.

    Args:
        sets: Name to scores, all of one protocol.
        style: Of the tables, see :func:`medgrpo.evaluation.tables.grid`.
    """
    sections = [Section("Board", _board_text(sets), tables.board_table(sets, style))]
    if len(sets) > 1:
        ranks = rank({name: scores.board for name, scores in sets.items()})
        sections.append(
            Section("Order", "By mean rank over the ten columns.", tables.rank_table(ranks, style))
        )
    if next(iter(sets.values())).protocol == "official":
        table = tables.board_by_dataset_table(sets, style)
        return [*sections, Section("By dataset", "", table), *_counts(sets, style)]
    sections.append(Section("By dataset and task", figures={"scores": plots.score_bars(sets)}))
    for name, scores in sets.items():
        stem = f"{len(sections)}"
        text = (
            "Intervals resample whole source videos. valid: exactly the published format; parsed: something "
            "could be read; cut: ran into the length limit; majority: what one constant answer would score."
        )
        sections.append(Section(f"{name}: details", text, tables.detail_table(scores, style)))
        pictures = {
            f"parsing_{stem}": plots.parsing_bars(scores),
            f"histogram_{stem}": plots.score_histograms(scores),
        }
        sections.append(Section(f"{name}: reliability of parsing, distribution of scores", "", "", pictures))
        sections.append(
            Section(f"{name}: all quantities, pooled over datasets", "", tables.quantity_table(scores, style))
        )
    return [*sections, *_differences(sets, style), *_counts(sets, style)]


def _differences(sets: Mapping[str, Scores], style: str) -> list[Section]:
    first, *others = sets
    text = "Paired by record; intervals resample source videos, p by sign flips of source videos."
    return [
        Section(
            f"{name} against {first}",
            text,
            difference_table(paired_differences(sets[first], sets[name], pooled=True), style),
        )
        for name in others
    ]


def _counts(sets: Mapping[str, Scores], style: str) -> list[Section]:
    """How many rows were scored, and what was set aside."""
    body = []
    for name, scores in sets.items():
        aside: Mapping[str, Any] = scores.counts.get("quarantined", {})
        body.append(
            [name, str(scores.counts["records"]), str(aside.get("rows", 0)), str(aside.get("file", "-"))]
        )
    table = tables.grid(["set", "rows scored", "rows set aside", "listed in"], body, style)
    return [Section("Rows", "", table)]


def _board_text(sets: Mapping[str, Scores]) -> str:
    if next(iter(sets.values())).protocol == "official":
        return "The leaderboard's own definitions, quirks included; a dash is a column that was not computed."
    return "Strict definitions in the board's columns: every row counts, unreadable answers are wrong."


def _html_page(title: str, sections: Sequence[Section]) -> str:
    parts = [f"<h1>{escape(title)}</h1>"]
    for section in sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        if section.text:
            parts.append(f"<p>{escape(section.text)}</p>")
        if section.table:
            parts.append(f'<div class="scroll">{section.table}</div>')
        for figure in section.figures.values():
            data = base64.b64encode(_png(figure)).decode()
            parts.append(f'<img alt="{escape(section.title)}" src="data:image/png;base64,{data}">')
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
