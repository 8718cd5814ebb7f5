"""A sample of a build for people to look at, in two forms that the dashboard opens.

``review.json`` is a records file for the page Data. ``review/`` is a folder of runs: each question is a
group, the writers' texts are its answers, and what the experts marked stands in the place of the reference:
reviewers mark the texts as they mark a model's answers, and do not see who wrote them. Frame paths start at
the folder of the build: start the dashboard there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from medgrpo.data.build.items import Draft
from medgrpo.data.build.output.records import RowMaker
from medgrpo.data.build.verify.candidates import ClipFacts
from medgrpo.data.build.verify.sample import Sampled
from medgrpo.data.records import parse_record, write_records
from medgrpo.rollout.store import RolloutStore
from medgrpo.tasks import get_task
from medgrpo.types import Completion, ComponentScore, Reward, Rollout

__all__ = ["RECORDS", "RUNS", "reference_of", "write_review"]

RECORDS = "review.json"
RUNS = "review"
_METRIC = "writer_cosine@1"


def write_review(folder: Path, name: str, questions: Iterable[Sampled], make: RowMaker) -> list[Path]:
    """Write both forms of a sample.

    Args:
        folder: Of the build.
        name: What the dashboard calls the sample, as a run; verdicts name a question by its draft's key.
        questions: With their texts, see :mod:`medgrpo.data.build.verify.sample`.
        make: Makes one record.

    Returns:
        The files; of an empty sample only the records file.

    Raises:
        UserError: If the name cannot be that of a folder, or the files cannot be written.
    """
    store = RolloutStore(folder / RUNS, name)
    held = list(questions)
    rows = (
        make(pair.draft, pictures, written)
        for pair, pictures, _ in held
        for _, written in sorted(pair.texts.items())
    )
    write_records(rows, folder / RECORDS)
    rollouts = [rollout for number, one in enumerate(held) for rollout in _rollouts(one, number, make)]
    # The time of writing is none of the data's: the same sample has the same bytes.
    return [folder / RECORDS, *([store.write(0, rollouts, wall_time=0.0)] if rollouts else [])]


def reference_of(draft: Draft, facts: ClipFacts) -> str:
    """What the experts marked in the clip of a question, in words for reviewers."""
    lines = []
    if draft.region_label:
        lines.append(f"In the box: {draft.region_label}.")
    if draft.events:
        timed = (f"{one.start:.1f}-{one.end:.1f} s {one.caption or ''}".strip() for one in draft.events)
        lines.append(f"Events: {'; '.join(timed)}.")
    for category, labels in sorted(facts.present.items()):
        lines.append(f"{category.capitalize()}s: {', '.join(labels) or 'none'}.")
    if facts.events and not draft.events:
        lines.append(f"Marked: {', '.join(facts.events)}.")
    head = "What experts marked in the clip." if lines else "Experts marked nothing in the clip."
    return "\n".join([head, *lines])


def _rollouts(sampled: Sampled, number: int, make: RowMaker) -> Iterator[Rollout]:
    """The writers' texts of one question as the answers of a group."""
    pair, pictures, facts = sampled
    draft = pair.draft
    value = math.nan if pair.similarity is None else pair.similarity
    status = "ok" if pair.similarity is not None else "alone"
    for index, (name, written) in enumerate(sorted(pair.texts.items())):
        sample = parse_record(make(draft, pictures, written), number, Path())
        sample = replace(
            sample,
            qa_type=draft.task,
            answer=reference_of(draft, facts),
            metadata={**sample.metadata, "writer": name, "writer_model": written.model},
        )
        parsed = get_task(draft.task).parse(written.text)
        score = ComponentScore(value, value, 1.0, _METRIC, status=status)
        yield Rollout(
            sample=sample,
            group_id=draft.key,
            index=index,
            prompt_text=draft.question,
            prompt_ids=(),
            times=sample.clip.times,
            told_times=sample.clip.times,
            completion=Completion(written.text, (), (), "stop"),
            reward=Reward(value, {"similarity": score}, parsed.status, parsed.value),
            group_mean=value,
            group_std=0.0,
            advantage=0.0,
        )
