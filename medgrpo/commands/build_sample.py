"""The sample of a build that people look at, and that a third model writes about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.data.build.build import Build, BuildReport
    from medgrpo.data.build.items import WrittenText
    from medgrpo.data.build.verify.sample import Sampled
    from medgrpo.data.build.writers import TextRequest, Writer

__all__ = ["write_sample"]

THIRD = "third"


def write_sample(build: Build, report: BuildReport) -> list[Path]:
    """Write the sample for the dashboard and, if there is a third writer, how far it agrees.

    Args:
        build: After verification.
        report: Of it.

    Returns:
        The files.

    Raises:
        UserError: If they cannot be written, or the third writer's texts cannot be had.
    """
    from medgrpo.data.build.records import record
    from medgrpo.data.build.verify.sample import draw, find
    from medgrpo.evaluation.build_review import write_review

    keys = draw(build.kept(), build.review, build.seed)
    if not keys:
        return []
    files = write_review(build.out, build.name, find(build.kept(), keys), record)
    if build.third is None:
        return files
    from medgrpo.data.build.verify.terminology import Terminology
    from medgrpo.data.build.verify.third_model import compare_with_third
    from medgrpo.evaluation.writer_agreement import write_agreement

    third = _Third(build.third, _requests(build, report, frozenset(keys)))
    terms = Terminology(build.verification.terminology)
    compared = list(compare_with_third(find(build.kept(), keys), third, build.encoder(), terms))
    missing = [one.status for one in compared if one.status in ("timeout", "http", "budget")]
    if missing:
        raise UserError(
            f"third writer: {len(missing)} texts are missing ({', '.join(sorted(set(missing)))}); run the "
            "same command again to ask for them"
        )
    return files + write_agreement(build.out, compared, build.verification.threshold, build.seed)


class _Third:
    """Asks the third writer with the prompts that the two had."""

    def __init__(self, writer: Writer, requests: Iterator[TextRequest]) -> None:
        self.writer = writer
        self.requests = requests

    def write(self, questions: Sequence[Sampled]) -> Sequence[WrittenText]:
        """Texts of questions that come in the order of their clips, as the requests do."""
        wanted = [pair.draft.key for pair, _, _ in questions]
        found: dict[str, TextRequest] = {}
        while len(found) < len(wanted):
            request = next(self.requests)
            if request.draft.key in wanted:
                found[request.draft.key] = request
        return self.writer.write([found[key] for key in wanted], THIRD)


def _requests(build: Build, report: BuildReport, keys: frozenset[str]) -> Iterator[TextRequest]:
    """Requests of the sample, video by video, in the order of the build."""
    prompting = build.prompting()
    for result in report.results:
        if result.key and result.texts:
            yield from (request for request in prompting(result) if request.draft.key in keys)
