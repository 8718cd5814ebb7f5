"""What can be drawn over the rounds of a run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEASURES", "Measure"]


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that can be drawn over the rounds.

    Attributes:
        title: What the page calls it.
        help: What it means, for a reader who does not program.
        table: ``answers`` or ``parts``; of the latter each component is a line of its own.
        value: SQL expression of one row's value, NULL or NaN where it has none.
        reference: SQL aggregate of the value before training, NULL where it is unknown.
    """

    title: str
    help: str
    table: str
    value: str
    reference: str = "NULL"


MEASURES: dict[str, Measure] = {
    "reward": Measure(
        "Reward",
        "What training raises. The thick line is the average of the round, the band holds the middle half of "
        "the answers. The dashed line is where a typical answer stood before this training.",
        "answers",
        "reward",
        "(SELECT CASE WHEN bool_and(normalizer = 'logistic') THEN 0.5::DOUBLE END FROM parts p "
        "WHERE p.run = t.run AND p.dataset = t.dataset AND p.task = t.task)",
    ),
    "raw": Measure(
        "Scores before scaling",
        "Each part of the reward in its own unit: agreement with the expert's annotation, similarity of the "
        "wording, the judge's marks. Dashed: the median before this training.",
        "parts",
        "raw",
        "median(p50)",
    ),
    "format": Measure(
        "Answers that could be read",
        "Share of answers in which the requested structure was found, 1 is all. Free text always counts.",
        "answers",
        "CASE WHEN parse_status = 'failed' THEN 0.0 ELSE 1.0 END",
    ),
    "spread": Measure(
        "Difference within a group",
        "How far the rewards of the answers to one question lie apart. Near zero there is nothing to learn "
        "from.",
        "answers",
        "group_std",
    ),
    "surprise": Measure(
        "Uncertainty of the model",
        "How undecided the model is at each word piece (nats). A collapse towards zero means that it always "
        "says the same.",
        "answers",
        "surprise",
    ),
    "length": Measure("Length of answers", "In word pieces (tokens).", "answers", "tokens"),
}
"""What the overview can draw, by its name in links."""
