"""What the documents hold: code blocks, commands, links."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))

_BLOCK = re.compile(r"^```([\w-]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SHELL = ("", "bash", "sh", "console")
PROGRAMS = ("medgrpo", "python", ".venv/bin/python", "make", "torchrun", "srun", "sbatch", "lightning")
"""Programs whose arguments are checked."""

FOREIGN = ("vllm", "hf", "ffmpeg", "git", "source", "export", "scontrol", "rsync", "tensorboard", "squeue")
"""Other people's programs that documents show."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: language and text."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A line that a reader is told to type.

    Attributes:
        page: Name of the document.
        words: Program and arguments, without variables in front and dots that stand for more.
        variables: ``NAME=value`` words in front.
    """

    page: str
    words: tuple[str, ...]
    variables: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> list[Command]:
    """The commands in its shell blocks; blocks that are no commands (trees, tables, layouts) have none."""
    found = []
    for block in blocks(page):
        if block.language not in _SHELL:
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            words = _words(line)
            variables = [word for word in words if re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", word)]
            words = words[len(variables) :] if words[: len(variables)] == variables else words
            if words and words[0] in (*PROGRAMS, *FOREIGN):
                found.append(Command(page.name, tuple(words), tuple(variables)))
    return found


def _words(line: str) -> list[str]:
    try:
        return [word for word in shlex.split(line, comments=True) if word not in ("…", "...", "&")]
    except ValueError:
        return []


def links(page: Path) -> list[str]:
    """Targets of links and pictures, outside of code."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))


def anchors(page: Path) -> set[str]:
    """The anchors that headings have, as GitHub and the site make them."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
