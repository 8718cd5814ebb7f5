"""JSON files of annotations: every value with its place, so that what is wrong is named by file and key."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from medgrpo.data.sources.annotations import Problem, Provenance
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.errors import UserError

__all__ = ["JsonFileError", "JsonNode", "read_json"]


class JsonFileError(UserError):
    """A file is no JSON.

    Args:
        path: The file.
        problem: What is wrong with it.
        line: Where, from 1; None if it is nowhere.
    """

    def __init__(self, path: Path, problem: str, line: int | None = None) -> None:
        super().__init__(f"{path}: {'' if line is None else f'line {line}: '}{problem}")
        self.path = path
        self.problem = problem
        self.line = line

    def __reduce__(self) -> tuple[type[JsonFileError], tuple[Path, str, int | None]]:
        return JsonFileError, (self.path, self.problem, self.line)  # crosses the border of worker processes


@dataclass(frozen=True, slots=True)
class JsonNode:
    """A value with its place in a file.

    Attributes:
        value: As :mod:`json` reads it.
        file: Relative to the folder of the source.
        path: Keys and positions on the way to it.
    """

    value: Any
    file: str
    path: tuple[str, ...] = ()

    @property
    def provenance(self) -> Provenance:
        """Where it stands."""
        return Provenance(self.file, key="/".join(self.path))

    @property
    def field(self) -> str:
        """The key that it stands under; of a member of a list the key of the list."""
        return next((part for part in reversed(self.path) if not part.isdecimal()), "")

    def member(self, key: str) -> JsonNode:
        """A member of an object.

        Raises:
            CellError: If this is no object, or has no such member.
        """
        members = self._of(dict, "an object")
        if key not in members:
            raise CellError(key, "is missing")
        return JsonNode(members[key], self.file, (*self.path, key))

    def has(self, key: str) -> bool:
        """Whether this is an object with such a member."""
        return isinstance(self.value, dict) and key in self.value

    def members(self) -> Iterator[tuple[str, JsonNode]]:
        """The members of an object by key.

        Raises:
            CellError: If this is no object.
        """
        for key, value in self._of(dict, "an object").items():
            yield key, JsonNode(value, self.file, (*self.path, key))

    def elements(self) -> Iterator[JsonNode]:
        """The elements of a list.

        Raises:
            CellError: If this is no list.
        """
        for k, value in enumerate(self._of(list, "a list")):
            yield JsonNode(value, self.file, (*self.path, str(k)))

    def number(self) -> float:
        """A finite number.

        Raises:
            CellError: If it is none.
        """
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(f"{self.shown} is not a number")
        return float(value)

    def whole(self) -> int:
        """A whole number; ``12.0`` is one too.

        Raises:
            CellError: If it is none.
        """
        value = self.number()
        if value != int(value):
            self.refuse(f"{self.shown} is not a whole number")
        return int(value)

    def refuse(self, problem: str) -> NoReturn:
        """Raise that this value is wrong.

        Raises:
            CellError: Always.
        """
        raise CellError(self.field, problem)

    def problem(self, error: CellError, video_id: str = "") -> Problem:
        """What is wrong with this value or in it."""
        return Problem(video_id, self.provenance, error.column, error.problem)

    @property
    def shown(self) -> str:
        """The value as messages quote it."""
        text = json.dumps(self.value, ensure_ascii=False)
        return text if len(text) <= 60 else f"{text[:57]}..."

    def _of(self, kind: type, name: str) -> Any:
        if not isinstance(self.value, kind):
            self.refuse(f"{self.shown} is not {name}")
        return self.value


def read_json(root: Path, name: str) -> JsonNode:
    """Read a file.

    Args:
        root: Folder of the source.
        name: The file, relative to it.

    Raises:
        JsonFileError: If it is missing, is no JSON, or has a key twice in one object, of which one would be
            lost.
    """
    path = root / name
    try:
        text = path.read_text(encoding="utf-8-sig")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except FileNotFoundError:
        raise JsonFileError(path, "is missing") from None
    except OSError as error:
        raise JsonFileError(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise JsonFileError(path, f"is not UTF-8 text: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise JsonFileError(path, f"is not valid JSON: {error.msg}", error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise JsonFileError(path, f"is not valid JSON: {error}") from error
    return JsonNode(value, name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is twice in one object")
    return found


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")
