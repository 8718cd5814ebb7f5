"""What every judge offers, and rubrics as data.

A judge compares one answer with its reference along the dimensions of a rubric. A judgement that could not be
had has no scores and says why in its status: it is never a number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from medgrpo.errors import UserError
from medgrpo.types import Judgement

__all__ = ["Dimension", "Judge", "JudgeRequest", "Rubric", "load_rubric"]


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """One answer to judge.

    Attributes:
        question: What was asked.
        reference: The expert's answer.
        candidate: The model's answer; untrusted text.
        dataset: Source dataset.
        task: Canonical task.
    """

    question: str
    reference: str
    candidate: str
    dataset: str = ""
    task: str = ""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that a rubric scores from 1 to 5.

    Attributes:
        name: Key in :attr:`medgrpo.types.Judgement.scores`.
        title: For readers.
        anchors: Score to what earns it.
    """

    name: str
    title: str
    anchors: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Rubric:
    """A versioned set of dimensions.

    Attributes:
        id: Name without the version.
        version: Rises whenever a score could change.
        question: What the judge is asked.
        rules: What holds for all dimensions.
        dimensions: In the order of display.
    """

    id: str
    version: int
    question: str
    rules: tuple[str, ...]
    dimensions: tuple[Dimension, ...]

    @property
    def name(self) -> str:
        """Id and version, e.g. ``medgrpo-five@1``."""
        return f"{self.id}@{self.version}"


class Judge(ABC):
    """Scores answers against references.

    Attributes:
        rubric: What it scores.
    """

    rubric: Rubric

    @property
    @abstractmethod
    def id(self) -> str:
        """Name that statistics are tied to: model and whatever else changes its scores."""

    @abstractmethod
    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge answers; one judgement a request, in order."""


def load_rubric(name_or_path: str) -> Rubric:
    """A shipped rubric by name, e.g. ``medgrpo-five@1``, or one from a YAML file.

    Raises:
        UserError: If there is none, or the file does not describe one.
    """
    path: Any = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = resources.files("medgrpo.rewards.judges") / "rubrics" / f"{name_or_path}.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(
            f"rubric {name_or_path!r} not found; give a YAML file or a shipped name such as medgrpo-five@1"
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    try:
        dimensions = tuple(
            Dimension(str(d["name"]), str(d["title"]), {int(k): str(v) for k, v in d["anchors"].items()})
            for d in data["dimensions"]
        )
        rubric = Rubric(
            str(data["id"]), int(data["version"]), str(data["question"]), tuple(data["rules"]), dimensions
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: not a rubric ({error!r}); it needs id, version, question, rules and dimensions "
            "with name, title and anchors"
        ) from None
    if not dimensions or len({d.name for d in dimensions}) != len(dimensions):
        raise UserError(f"{path}: a rubric needs at least one dimension and no name twice")
    return rubric
