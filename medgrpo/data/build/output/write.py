"""The last stages of a build: splits, records, statistics, plots, card and manifest from what was kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from medgrpo.data.build.output.data_card import data_card
from medgrpo.data.build.output.manifest import FRAMES, Provenance, frame_lines, write_manifest
from medgrpo.data.build.output.plots import write_plots, write_similarity_plot
from medgrpo.data.build.output.records import RowMaker, SplitRows
from medgrpo.data.build.output.statistics import Statistics
from medgrpo.data.build.splits import (
    LEFT_OUT,
    OFFICIAL_TEST,
    Assignment,
    SplitPolicy,
    assign,
    census,
    check_disjoint,
    write_assignment,
)
from medgrpo.data.build.verify.candidates import Lines
from medgrpo.data.build.verify.findings import KeptClip, Rejection
from medgrpo.data.build.verify.held_out import THRESHOLD, HeldOutTexts, Repeats
from medgrpo.data.build.verify.run import KEPT, REJECTED, REPORT
from medgrpo.data.records import write_records
from medgrpo.services.files import read_json, whole_file, write_whole

__all__ = ["OutputPolicy", "write_output"]


@dataclass(frozen=True)
class OutputPolicy:
    """How a build ends.

    Attributes:
        splits: How videos are shared out.
        near_duplicate: Jaccard index from which on a training text nearly repeats a held-out one.
    """

    splits: SplitPolicy = field(default_factory=SplitPolicy)
    near_duplicate: float = THRESHOLD


def write_output(
    work: Path,
    out: Path,
    make: RowMaker,
    provenance: Provenance,
    policy: OutputPolicy | None = None,
    before: Mapping[str, str] | None = None,
    others: Iterable[Path] = (),
) -> Path:
    """Write all that a build leaves. What is kept is read several times, a clip at a time.

    Args:
        work: Folder with what :func:`~medgrpo.data.build.verify.run.verify_into` wrote.
        out: Folder of the build, which holds the frames already.
        make: Makes one record.
        provenance: What the build was made from.
        policy: Splits and near-duplicates.
        before: An earlier build's assignment of videos, which stays.
        others: Files that are below ``out`` already and that the manifest lists, such as a review sample.

    Returns:
        The manifest.

    Raises:
        UserError: If a setting is wrong, the files cannot be written, or splits share a video.
    """
    policy = policy or OutputPolicy()
    kept = work / KEPT
    verification = read_json(work / REPORT, "a report of verification")
    assignment = assign(census(_clips(kept)), policy.splits, before)
    training = policy.splits.training
    held_out = [name for name, split in assignment.videos.items() if split != training]
    statistics, repeats = Statistics(), Repeats()
    texts = HeldOutTexts(_clips(kept), frozenset(held_out), policy.near_duplicate)
    splits = [*policy.splits.fractions, *([OFFICIAL_TEST] if OFFICIAL_TEST in assignment.splits else [])]
    files = {split: out / f"{split}.json" for split in splits}
    with _rejected(work / REJECTED, out / REJECTED) as near:
        for split, path in files.items():
            compared = texts if split == training else None
            videos = assignment.of(split)
            rows = SplitRows(split, videos, make, statistics, repeats, compared, near.add)
            write_records(rows.of(_clips(kept)), path)
    operations = check_disjoint(files)
    written = frozenset().union(*(assignment.of(split) for split in files))
    write_whole(out / FRAMES, frame_lines(_clips(kept), written))
    results = {
        "splits": _splits_table(policy, assignment, operations, near.count),
        "verification": {name: part for name, part in verification.items() if name != "similarity"},
        "repeated_texts": dict(repeats.table()),
        "counts": statistics.counts(),
    }
    card = data_card(provenance, statistics, verification, results["splits"])
    written_now = [
        write_assignment(out / "splits.json", assignment),
        write_whole(out / "statistics.json", json.dumps(statistics.table(), indent=1) + "\n"),
        *write_plots(statistics, out / "plots"),
        write_similarity_plot(verification, out / "plots" / "similarity.png"),
        write_whole(out / "DATA_CARD.md", card),
        write_whole(out / REPORT, json.dumps(verification, indent=1) + "\n"),
        out / FRAMES,
        out / REJECTED,
    ]
    return write_manifest(out, [*files.values(), *written_now, *others], provenance, results)


def _clips(path: Path) -> Iterator[KeptClip]:
    return Lines(KeptClip).read(path)


@contextmanager
def _rejected(before: Path, path: Path) -> Iterator[_Rejected]:
    """The file of all that was rejected: what verification wrote, and more that is added."""
    with whole_file(path) as file:
        with before.open("rb") as source:
            shutil.copyfileobj(source, file)
        yield _Rejected(file)


class _Rejected:
    """Adds to a file of rejections, and counts what it adds."""

    def __init__(self, file: BinaryIO) -> None:
        self.count = 0
        self._file = file
        self._lines = Lines(Rejection)

    def add(self, rejection: Rejection) -> None:
        """Write a rejection."""
        self._file.write(self._lines.text(rejection).encode())
        self.count += 1


def _splits_table(
    policy: OutputPolicy, assignment: Assignment, operations: Mapping[str, int], near: int
) -> dict[str, Any]:
    """Settings and counts of the splits, ready for JSON."""
    return {
        "seed": policy.splits.seed,
        "fractions": dict(policy.splits.fractions),
        "official_test": policy.splits.official_test,
        "videos": dict(operations),
        "left_out": sum(split == LEFT_OUT for split in assignment.videos.values()),
        "kept_from_before": assignment.kept,
        "moved_out": list(assignment.moved),
        "near_duplicates": near,
        "near_duplicate_threshold": policy.near_duplicate,
    }
