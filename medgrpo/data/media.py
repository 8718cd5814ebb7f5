"""Where the frames and videos that records name are on this machine.

The benchmark's two public splits name them in two ways: relative to the archive (``testdata/...``), or by
absolute paths of the author's machine, whose files are under ``valdata/`` in the archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["AUTHOR_ROOT", "DEFAULT_PREFIXES", "MediaPaths", "parse_prefixes"]

AUTHOR_ROOT = "/" + "root/data"
"""Where paths of the TrainVal split start."""

DEFAULT_PREFIXES: Mapping[str, str] = {AUTHOR_ROOT: "valdata"}
"""Old prefix to its place under the media root."""

_SUPERFLUOUS = re.compile(r"/(?:\.?/)+|^(?:\./)+")


@dataclass(frozen=True)
class MediaPaths:
    """Turns the names in records into paths; never looks at the disk.

    Attributes:
        root: Where relative paths start.
        prefixes: Old prefix to new one, absolute or relative to ``root``, beyond :data:`DEFAULT_PREFIXES`
            and before them: an old prefix given here replaces the default, one mapped to itself stays. A
            prefix matches whole components of a path; of several the longest counts.

    Raises:
        UserError: If a prefix is empty.
    """

    root: Path
    prefixes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "" in self.prefixes:
            raise UserError("a media prefix must not be empty; the media root is where relative paths start")

    @classmethod
    def beside(
        cls, records: str | Path, root: str | Path | None = None, prefixes: Mapping[str, str] | None = None
    ) -> MediaPaths:
        """The paths of a records file: relative ones start at ``root``, by default the file's folder."""
        return cls(Path(records).parent if root is None else Path(root), dict(prefixes or {}))

    @cached_property
    def _rules(self) -> list[tuple[str, Path]]:
        """Old prefixes with a closing slash, the longest first, and the paths that replace them."""
        rules = {_plain(old).rstrip("/") + "/": self.root / new for old, new in DEFAULT_PREFIXES.items()}
        rules |= {_plain(old).rstrip("/") + "/": self.root / new for old, new in self.prefixes.items()}
        return sorted(rules.items(), key=lambda rule: -len(rule[0]))

    def resolve(self, name: str) -> Path:
        """The path of a frame or video as a record names it."""
        plain = _plain(name)
        for old, new in self._rules:
            if plain.startswith(old):
                return new / plain[len(old) :]
            if plain == old[:-1]:
                return new
        return self.root / name


def parse_prefixes(texts: Iterable[str]) -> dict[str, str]:
    """Prefixes as given on a command line.

    Args:
        texts: ``OLD=NEW`` each; a later one replaces an earlier one with the same ``OLD``.

    Raises:
        UserError: If one has another form.
    """
    prefixes = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not old or not equals or not new:
            raise UserError(f"a media prefix has the form OLD=NEW, got {text!r}")
        prefixes[old] = new
    return prefixes


def _plain(name: str) -> str:
    """A path without repeated slashes and ``.`` components; ``..`` stays, for it may follow a link."""
    if "//" not in name and "./" not in name:
        return name
    return _SUPERFLUOUS.sub(lambda match: "/" if match[0].startswith("/") else "", name)
