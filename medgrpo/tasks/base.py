"""What every task offers: question, truth, writer, parser, metric and the quantities of many rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from medgrpo.errors import UserError
from medgrpo.tasks.closeness import Closeness
from medgrpo.tasks.quantities import Quantity, mean, ratio
from medgrpo.types import Sample

__all__ = ["FreeText", "Parsed", "ScoredRow", "Status", "Task"]

Status = Literal["ok", "repaired", "failed", "free_text"]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser found in an answer.

    Attributes:
        value: A structure that JSON can hold, as the task's ``truth``; None if nothing was found.
        status: ``ok`` for the published format, ``repaired`` when something was corrected or ignored,
            ``failed`` when there is nothing to score, ``free_text`` for tasks without a structure.
        notes: What was repaired or ignored, one phrase each.
    """

    value: Any
    status: Status
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the answer is exactly in the published format."""
        return self.status in ("ok", "free_text")


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A sample with what the model answered and how it scored.

    Attributes:
        sample: The question.
        parsed: The answer as read.
        truth: The reference structure.
        score: The strict metric in [0, 1]; for captions the similarity, None if it was not computed.
        extra: Further numbers of the row, such as ``judge``; what scored them says what they mean.
        truncated: Whether the answer ran into the limit of its length; None if nobody knows.
    """

    sample: Sample
    parsed: Parsed
    truth: Any
    score: float | None
    extra: Mapping[str, float] = field(default_factory=dict)
    truncated: bool | None = None


class Task(ABC):
    """One task of the benchmark. Instances hold no state.

    Attributes:
        name: Canonical name.
        qa_types: The benchmark's spellings of it.
        forms: Ways to ask, with the fields that a question needs in braces.
        metric: Versioned name of the per-answer metric; None for free text, which only a similarity or a
            judge can score. The version rises whenever a value could change.
        metric_range: Bounds of the metric.
        max_new_tokens: Default cap of an answer's length for real checkpoints.
        localisation: Whether rewards multiply the accuracy by the validity of the format.
    """

    name: ClassVar[str]
    qa_types: ClassVar[tuple[str, ...]]
    forms: ClassVar[tuple[str, ...]]
    metric: ClassVar[str | None] = None
    metric_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    max_new_tokens: ClassVar[int] = 256
    localisation: ClassVar[bool] = False

    def question(self, variant: int = 0, **fields: str) -> str:
        """The query of a question: what follows the sentences on persona and domain.

        Args:
            variant: Which of ``forms``.
            fields: What the form names in braces.
        """
        return self.forms[variant].format(**fields)

    @abstractmethod
    def truth(self, sample: Sample) -> Any:
        """The reference structure: from ``struc_info``, else from the answer's text, else None."""

    @abstractmethod
    def write(self, truth: Any) -> str:
        """The answer in exactly the published format."""

    @abstractmethod
    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """The structure in an answer; never raises, whatever the text.

        Args:
            text: A model's answer.
            sample: The question, for tasks whose closed answer list depends on it.
        """

    def score(self, parsed: Parsed, sample: Sample) -> float:
        """The strict metric of one answer, in ``metric_range``; a failed parse scores 0.

        Raises:
            TypeError: For free-text tasks, which have no metric.
            UserError: If the sample has no ground truth.
        """
        if self.metric is None:
            raise TypeError(f"{self.name} answers are free text: score them by similarity or by a judge")
        truth = self.truth(sample)
        if truth is None:
            raise UserError(f"row {sample.row} ({sample.id}): no ground truth to score a {self.name} answer")
        if parsed.status == "failed":
            return 0.0
        return self.accuracy(parsed.value, truth, sample)

    def accuracy(self, value: Any, truth: Any, sample: Sample) -> float:
        """The metric between a parsed structure and the truth, see :meth:`score`."""
        raise TypeError(f"{self.name} has no metric")

    def closeness(self, value: Any, truth: Any, sample: Sample, measure: Closeness) -> float:
        """How near a parsed structure comes to the truth, in [0, 1], where a metric of hits says 0.

        Args:
            value: As the parser returns it.
            truth: The reference structure.
            sample: The question.
            measure: Of one extent in time or space with its true one.
        """
        raise TypeError(f"{self.name} answers hold no extents")

    def quantities(self, rows: Sequence[ScoredRow]) -> list[Quantity]:
        """What is reported over rows beside mean score and validity: each extra's mean, rates of mentions.

        ``hallucinated_instruments`` is the share of instruments named in the answers that their reference
        does not name, ``missed_instruments`` the share of those named in the references that the answer
        lacks; the same for anatomy. They come from extras such as ``instruments:said``, where there are any.

        Args:
            rows: At least one, all of this task.
        """
        names = [name for name in rows[0].extra if all(name in row.extra for row in rows)]
        numbers = {name: [row.extra[name] for row in rows] for name in names}
        found = [mean(name, values) for name, values in numbers.items() if ":" not in name]
        for kind in sorted({name.split(":")[0] for name in names if name.endswith(":unfounded")}):
            found += [
                ratio(f"hallucinated_{kind}", numbers[f"{kind}:unfounded"], numbers[f"{kind}:said"]),
                ratio(f"missed_{kind}", numbers[f"{kind}:unsaid"], numbers[f"{kind}:true"]),
            ]
        return found


class FreeText(Task):
    """A task whose structure is the text itself; similarity and a judge score it."""

    def truth(self, sample: Sample) -> str | None:
        """The reference text."""
        return (sample.answer or "").strip() or None

    def write(self, truth: Any) -> str:
        """The text itself."""
        return str(truth)

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """The stripped text; failed if empty."""
        del sample
        stripped = text.strip()
        return Parsed(stripped, "free_text") if stripped else Parsed(None, "failed", ("empty answer",))
