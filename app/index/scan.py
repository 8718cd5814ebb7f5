"""What is on the disk: the shards below a folder, and what stands in the way of reading them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medgrpo.errors import UserError
from medgrpo.rollout.shards import Shard, current_shards, find_shards, read_footer

__all__ = ["Part", "Scan"]

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """A shard to show. Two that are equal hold the same answers.

    Attributes:
        file: Where it lies.
        first: Number of its first row in the file.
        rows: Number of answers.
        run: Name of its run among all runs below the folder.
        step: Round.
        version: Modification time (nanoseconds) and size of the file.
    """

    file: str
    first: int
    rows: int
    run: str
    step: int
    version: Version


class Scan:
    """Looks for shards again and again, and opens a footer only when its file is new or was changed.

    Args:
        folder: Holds ``rollouts/`` itself or in folders at most two levels below.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._footers: dict[Path, tuple[Version, list[Shard] | str]] = {}
        self._seen: dict[str, set[int]] = defaultdict(set)

    def look(self) -> tuple[set[Part], dict[str, str]]:
        """The shards to show, and what cannot be read or has gone, with the reason."""
        parts: set[Part] = set()
        problems: dict[str, str] = {}
        listed: set[Path] = set()
        for store in self._stores(problems):
            shards: list[Shard] = []
            for path in self._files(store, problems):
                listed.add(path)
                found = self._footer(path)
                if isinstance(found, str):
                    problems[str(path)] = found
                else:
                    shards += found
            for shard in current_shards(shards):
                version, _ = self._footers[shard.path]
                run = self._run_name(store, shard.run)
                parts.add(Part(str(shard.path), shard.first_row, shard.rows, run, shard.step, version))
        self._footers = {path: known for path, known in self._footers.items() if path in listed}
        return parts, problems | self._vanished(parts)

    def _stores(self, problems: dict[str, str]) -> list[Path]:
        stores: list[Path] = []
        for pattern in ("rollouts", "*/rollouts", "*/*/rollouts"):
            try:
                stores += [path.parent for path in self.folder.glob(pattern) if path.is_dir()]
            except OSError as error:
                problems[str(self.folder)] = f"{self.folder}: cannot be listed ({error.strerror})"
        if not stores and not self.folder.is_dir():
            problems[str(self.folder)] = f"{self.folder}: the folder has gone"
        return sorted(stores)

    def _files(self, store: Path, problems: dict[str, str]) -> list[Path]:
        for _ in range(3):  # a folder that goes while it is listed
            try:
                return find_shards(store)
            except OSError as error:
                reason = f"{store}: cannot be listed ({error.strerror})"
        problems[str(store)] = reason
        return []

    def _footer(self, path: Path) -> list[Shard] | str:
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            known = self._footers.get(path)
            if known is None or known[0] != version:
                try:
                    known = (version, read_footer(path))
                except UserError as error:
                    known = (version, str(error))
                self._footers[path] = known
            return known[1]
        except FileNotFoundError:  # merged into another file since, or a link that leads nowhere
            return f"{path}: cannot be opened; there is no such file" if path.is_symlink() else []
        except OSError as error:
            return f"{path}: cannot be opened ({error.strerror})"

    def _vanished(self, parts: Iterable[Part]) -> dict[str, str]:
        """Rounds that were there before and are no longer."""
        present: dict[str, set[int]] = defaultdict(set)
        for part in parts:
            present[part.run].add(part.step)
        problems = {}
        for run, steps in self._seen.items():
            if gone := steps - present[run]:
                which = f"{len(gone)} rounds" if len(gone) > 1 else f"round {min(gone)}"
                problems[f"run {run}"] = (
                    f"run {run}: the files of {which} have gone or cannot be read any more; they are shown "
                    "again when they are back"
                )
        for run, steps in present.items():
            self._seen[run] |= steps
        return problems

    def _run_name(self, store: Path, run: str) -> str:
        where = store.relative_to(self.folder)
        if where == Path("."):
            return run
        return where.as_posix() if where.name == run else f"{where.as_posix()}/{run}"
