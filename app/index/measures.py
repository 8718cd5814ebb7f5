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
        share: Whether a value is 0 or 1, so that a round has an average but no spread to draw.
    """

    title: str
    help: str
    table: str
    value: str
    reference: str = "NULL"
    share: bool = False


_TYPICAL = (
    "(SELECT CASE WHEN bool_and(normalizer = 'logistic') THEN 0.5::DOUBLE END FROM parts p "
    "WHERE p.run = t.run AND p.dataset = t.dataset AND p.task = t.task)"
)

MEASURES: dict[str, Measure] = {
    "reward": Measure(
        "Reward",
        "What training raises. The thick line is the average of the round, the band holds the middle half of "
        "the answers. The dashed line is where a typical answer stood before this training.",
        "answers",
        "reward",
        _TYPICAL,
    ),
    "raw": Measure(
        "Scores before scaling",
        "Each part of the reward in its own unit: agreement with the expert's annotation, similarity of the "
        "wording, the judge's marks. Dashed: the median before this training.",
        "parts",
        "raw",
        "median(p50)",
    ),
    "normalised": Measure(
        "Scores after scaling",
        "Each part of the reward, scaled by how answers scored before this training, so that easy and hard "
        "datasets count alike. Dashed: a typical answer from before.",
        "parts",
        "normalised",
        "CASE WHEN bool_and(normalizer = 'logistic') THEN 0.5::DOUBLE END",
    ),
    "spread": Measure(
        "Difference within a group",
        "How far the rewards of the answers to one question lie apart. Near zero there is nothing to learn "
        "from.",
        "answers",
        "group_std",
    ),
    "advantage": Measure(
        "Strength of the push",
        "How far answers lie above or below the average of their group, without the sign (the spread of the "
        "advantages). Zero: the answers teach nothing.",
        "answers",
        "CASE WHEN kept THEN abs(advantage) END",
    ),
    "flat": Measure(
        "Questions without a difference",
        "Share of the answers whose whole group got the same reward. Such a group teaches nothing.",
        "answers",
        "CASE WHEN skip_reason IN ('zero_variance', 'refilled') THEN 1.0 ELSE 0.0 END",
        share=True,
    ),
    "format": Measure(
        "Answers that could be read",
        "Share of the answers in which the requested structure was found, 1 is all. Questions that ask for "
        "free text are not shown.",
        "answers",
        "CASE parse_status WHEN 'free_text' THEN NULL WHEN 'failed' THEN 0.0 ELSE 1.0 END",
        share=True,
    ),
    "judge": Measure(
        "Judgements that worked",
        "Share of the answers that the judge could mark, 1 is all. Where the judge fails, an answer has no "
        "marks, and its group is left out or rewarded without them.",
        "answers",
        "CASE WHEN judge_status IN ('ok', 'gated') THEN 1.0 WHEN judge_status IS NOT NULL THEN 0.0 END",
        share=True,
    ),
    "surprise": Measure(
        "Uncertainty of the model",
        "How undecided the model was at the word pieces that it chose (nats). A collapse towards zero means "
        "that it always says the same.",
        "answers",
        "surprise",
    ),
    "length": Measure("Length of answers", "In word pieces (tokens).", "answers", "tokens"),
}
"""What the overview can draw, by its name in links."""
