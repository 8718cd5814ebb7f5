"""A build from beginning to end: prepare, write, verify, split, and what is left on the disk.

Every stage keeps its results under ``work/`` by their content, so the same call goes on where a killed one
stopped and ends with the same bytes. The folder of the build is complete once it has its manifest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from medgrpo.data.build.clips import ClipPolicy
from medgrpo.data.build.engines import Engine, LocalEngine
from medgrpo.data.build.fingerprints import files_fingerprint, settings_of
from medgrpo.data.build.frame_flags import FrameFlags
from medgrpo.data.build.items import WrittenText
from medgrpo.data.build.output.manifest import MANIFEST, Provenance, SourceFacts
from medgrpo.data.build.output.write import OutputPolicy, write_output
from medgrpo.data.build.pictures import PicturePolicy
from medgrpo.data.build.prepare import Item, Preparation, Result, prepared_results
from medgrpo.data.build.prompting import PromptPolicy
from medgrpo.data.build.quarantine import write_quarantine
from medgrpo.data.build.questions import QuestionPolicy
from medgrpo.data.build.records import record
from medgrpo.data.build.results import content_hash
from medgrpo.data.build.splits import read_assignment
from medgrpo.data.build.templates import WRITTEN_TASKS, source_texts
from medgrpo.data.build.transcript import Transcriber
from medgrpo.data.build.verify.candidates import ClipCandidates, Lines, facts_of
from medgrpo.data.build.verify.findings import KeptClip
from medgrpo.data.build.verify.run import KEPT, verify_into
from medgrpo.data.build.verify.verify import Verifier
from medgrpo.data.build.writers import Writer
from medgrpo.data.build.writing import Prompting, Texts, Writing, WritingTotals, writer_facts
from medgrpo.data.sources.annotations import Problem
from medgrpo.data.sources.base import Source
from medgrpo.errors import UserError
from medgrpo.services.encoder import SentenceEncoder

__all__ = ["Build", "BuildReport", "Verification"]

_log = logging.getLogger(__name__)
CANDIDATES = "candidates.jsonl"
QUARANTINE = "quarantine.jsonl"


@dataclass(frozen=True)
class Verification:
    """How texts are checked; see :class:`~medgrpo.data.build.verify.verify.Verifier`.

    Attributes:
        threshold: Similarity of two texts below which both are dropped.
        keep_single: Whether one writer's text may stay where the other failed.
        terminology: File of terms; None is the shipped one.
        encoder: Folder of a sentence-transformers model; None is the packaged one.
        device: Where the encoder runs.
    """

    threshold: float = 0.3
    keep_single: bool = False
    terminology: str | None = None
    encoder: str | None = None
    device: str = "cpu"


@dataclass
class BuildReport:
    """What a build came to.

    Attributes:
        videos: By source, those that were used.
        unusable: By source, those that were not.
        problems: By source, bad rows and frames that were left out.
        loose: Problems of no single video, each with its source; among ``problems`` too.
        clips: How many.
        drafts: Questions that had their answer.
        texts: What writing came to.
        dropped: Clips and questions that were left out, by reason.
        results: What became of each video.
        manifest: The file that says that the build is complete; None if texts are missing.
    """

    videos: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    loose: list[tuple[str, Problem]] = field(default_factory=list)
    clips: int = 0
    drafts: int = 0
    texts: WritingTotals = field(default_factory=WritingTotals)
    dropped: Counter[str] = field(default_factory=Counter)
    results: list[Result] = field(default_factory=list)
    manifest: Path | None = None


class Build:
    """Constructs instruction data.

    Args:
        out: Folder to make; what was made stays when the same build runs again.
        sources: Datasets by a name of one's own; null leaves one out.
        writers: By the suffix of ``qa_type`` under which their texts are kept: two, of two families. Without
            any, only questions that follow from the annotations are built.
        name: Of the build, in manifest and data card.
        seed: Of clips, questions and splits, unless their policies have their own.
        clips: Which clips are cut.
        pictures: How frames are written.
        flags: Looks at frames.
        questions: Which questions are asked.
        prompts: Folder of prompts that replace shipped ones.
        shown: What writers are shown.
        transcriber: Of web videos; None leaves speech alone.
        verification: How texts are checked.
        output: Splits and near-duplicates.
        review: How many questions with their texts people look at in the dashboard.
        third: A third writer, of another family than both, for the questions of the review.
        keep_splits: ``splits.json`` of an earlier build, whose videos stay where they are.
        on_problem: Bad rows and frames are written to ``quarantine.jsonl`` and counted, or the build is
            refused.
        engine: Where the work runs; None is this machine.

    Raises:
        UserError: If the settings contradict each other.
    """

    def __init__(
        self,
        out: str,
        sources: dict[str, Source | None],
        writers: dict[str, Writer | None] | None = None,
        name: str = "medgrpo-build",
        seed: int = 0,
        clips: ClipPolicy | None = None,
        pictures: PicturePolicy | None = None,
        flags: FrameFlags | None = None,
        questions: QuestionPolicy | None = None,
        prompts: str | None = None,
        shown: PromptPolicy | None = None,
        transcriber: Transcriber | None = None,
        verification: Verification | None = None,
        output: OutputPolicy | None = None,
        review: int = 200,
        third: Writer | None = None,
        keep_splits: str | None = None,
        on_problem: Literal["quarantine", "refuse"] = "quarantine",
        engine: Engine | None = None,
    ) -> None:
        self.out = Path(out)
        self.work = self.out / "work"
        self.sources = {key: source for key, source in sorted(sources.items()) if source is not None}
        self.writers = {key: writer for key, writer in sorted((writers or {}).items()) if writer is not None}
        self.name = name
        self.seed = seed
        self.clips = clips or ClipPolicy(seed=seed)
        self.pictures = pictures or PicturePolicy()
        self.flags = flags or FrameFlags()
        self.questions = questions or QuestionPolicy(seed=seed)
        if not self.writers:
            answered = {k: n for k, n in self.questions.per_clip.items() if k not in WRITTEN_TASKS}
            self.questions = replace(self.questions, per_clip=answered)
        self.prompts = prompts
        self.shown = shown or PromptPolicy()
        self.transcriber = transcriber
        self.verification = verification or Verification()
        self.output = output or OutputPolicy()
        self.review = review
        self.third = third
        self.keep_splits = keep_splits
        self.on_problem = on_problem
        self.engine = engine or LocalEngine()
        if review < 0:
            raise UserError(f"build: review must be 0 or more, got {review}")
        if not self.sources:
            raise UserError("build: sources is empty; name at least one")
        if self.writers and len(self.writers) != 2:
            raise UserError(f"build: writers must be two or none, got {', '.join(self.writers)}")
        if (
            len({content_hash(writer.settings()) for writer in self.writers.values()})
            == 1
            < len(self.writers)
        ):
            raise UserError(
                "build: both writers are the same model with the same settings; that they agree would mean "
                "nothing"
            )
        if wrong := [name for name in self.writers if name not in ("gpt", "gemini")]:
            raise UserError(
                f"build: a writer's texts go under the suffix {wrong[0]!r}; MedVidBench has gpt and gemini"
            )

    @property
    def items(self) -> list[Item]:
        """All videos of all sources."""
        return [(name, video) for name, source in self.sources.items() for video in source.videos()]

    def preparation(self) -> Preparation:
        """What prepares a video."""
        return Preparation(
            self.work,
            self.out,
            self.sources,
            self.clips,
            self.pictures,
            self.flags,
            self.questions,
            self.prompts,
            self.transcriber,
        )

    def verified(self) -> BuildReport:
        """Prepare, write and verify, or go on with it; what is kept lies in the work folder.

        Returns:
            The report; with texts missing nothing was verified.

        Raises:
            UserError: If something cannot be read or written, a server refuses its key, or problems are
                refused.
        """
        for place in (".*.part", "plots/.*.part", "review/**/.*.part"):  # left by a build that was killed
            for left in self.out.glob(place):
                left.unlink(missing_ok=True)
        for writer in (*self.writers.values(), self.third):
            if writer is not None and not self.is_complete:
                writer.check()  # before hours of preparation
        report = BuildReport()
        try:
            report.results = self._prepare(report)
            report.loose = [(name, one) for name, source in self.sources.items() for one in source.problems()]
            report.problems.update(name for name, _ in report.loose)
            self._refuse(report)
            write_quarantine(self.out / QUARANTINE, report.results, report.loose)
            self._candidates(report.results, report)
        finally:
            self.engine.close()
        if not report.texts.missing:
            candidates = Lines(ClipCandidates).read(self.work / CANDIDATES)
            verify_into(candidates, self.work, self.verifier())
        return report

    def finish(self, report: BuildReport, others: Sequence[Path] = ()) -> Path:
        """Split what was kept and write records, statistics, card and manifest.

        Args:
            report: Of :meth:`verified`, without missing texts.
            others: Further files of the build, for the manifest.

        Raises:
            UserError: If something cannot be written, or splits share a video.
        """
        before = read_assignment(Path(self.keep_splits)) if self.keep_splits else None
        provenance = self._provenance(report.results, report)
        files = [self.out / QUARANTINE, *others]
        report.manifest = write_output(
            self.work, self.out, record, provenance, self.output, before, others=files
        )
        return report.manifest

    def encoder(self) -> SentenceEncoder:
        """That texts are compared by."""
        return SentenceEncoder(self.verification.encoder, device=self.verification.device, progress=True)

    def verifier(self) -> Verifier:
        """A new one: it counts."""
        told = self.verification
        return Verifier(self.encoder(), told.threshold, told.keep_single, told.terminology)

    def kept(self) -> Iterator[KeptClip]:
        """What verification kept, clip by clip."""
        return Lines(KeptClip).read(self.work / KEPT)

    def prompting(self) -> Prompting:
        """What makes the requests of a prepared video."""
        web = [name for name, source in self.sources.items() if source.web]
        return Prompting(self.work, self.out, self.prompts, self.shown, web)

    def _prepare(self, report: BuildReport) -> list[Result]:
        from tqdm import tqdm

        items = self.items
        done = []
        with tqdm(total=len(items), desc="prepare videos", unit="video") as bar:
            for result in self.engine.map(self.preparation(), items):
                name = result.item[0]
                (report.videos if result.key else report.unusable)[name] += 1
                report.problems[name] += len(result.reading.problems) + len(result.problems)
                report.clips += result.clips
                report.drafts += result.drafts
                report.dropped.update(result.dropped)
                done.append(result)
                bar.update()
        return done

    def _refuse(self, report: BuildReport) -> None:
        count = sum(report.problems.values())
        if self.on_problem == "refuse" and count:
            raise UserError(
                f"build: {count} problems in the sources; `build --validate` lists them, and on_problem: "
                "quarantine goes on without what is wrong"
            )

    def _candidates(self, results: Sequence[Result], report: BuildReport) -> None:
        """Write all questions with their texts, one clip a line."""
        from tqdm import tqdm

        writing = Writing(self.work, self.prompting(), self.writers, self.engine)
        usable = [result for result in results if result.key]
        total = len(self.writers) * sum(result.texts for result in usable)
        with tqdm(total=total, desc="write texts", unit="text", disable=not total) as bar:

            def tick(count: int) -> None:
                bar.update(count)
                spent = sum(report.texts.cost.values())
                if spent and bar.n:
                    bar.set_postfix_str(f"cost {spent:.2f}, to come {spent * (total - bar.n) / bar.n:.2f}")

            written = writing.write(usable, report.texts.add, tick)
            Lines(ClipCandidates).write(self.work / CANDIDATES, self._clips(written))

    def _clips(self, written: Iterator[tuple[Result, Texts]]) -> Iterator[ClipCandidates]:
        prepared = prepared_results(self.work)
        for result, texts in written:
            video = prepared.get(result.key)
            if video is None:
                raise UserError(f"{self.work}: a result was removed while the build ran; run it again")
            for clip in video.clips:
                own: Mapping[str, Mapping[str, WrittenText]] = {
                    draft.key: texts[draft.key] for draft in clip.drafts if draft.answer is None
                }
                facts = facts_of(video.video, clip.clip)
                yield ClipCandidates(clip.clip, clip.pictures, facts, clip.drafts, own)

    def _provenance(self, results: Sequence[Result], report: BuildReport) -> Provenance:
        facts: dict[str, SourceFacts] = {}
        for name, source in self.sources.items():
            own = [result for result in results if result.item[0] == name]
            counts: Counter[str] = Counter()
            problems = Counter(problem.field for source_name, problem in report.loose if source_name == name)
            for result in own:
                counts.update(result.reading.counts)
                problems.update(problem.field for problem in result.reading.problems)
                problems["frames"] += len(result.problems)
            paths = sorted({path for result in own for path in source.files(result.item[1])})
            files = {path.relative_to(source.root).as_posix(): files_fingerprint([path])[0] for path in paths}
            facts[name] = SourceFacts(source.licence, source.homepage, files, counts, +problems)
        names = {source.name for source in self.sources.values()}
        texts = [source_texts(name, self.prompts) for name in sorted(names)]
        templates = [template for one in texts for template in one.templates.values()] if self.writers else []
        writers = {
            name: writer_facts(writer)
            | {
                "models": sorted(report.texts.models.get(name, ())),
                "texts": report.texts.texts[name],
                "tokens": report.texts.tokens[name],
                "cost": round(float(report.texts.cost[name]), 6),
            }
            for name, writer in self.writers.items()
        }
        return Provenance(
            self.name,
            content_hash([self.settings(), [result.key for result in results]]),
            self.seed,
            facts,
            {template.id: template.digest for template in templates},
            writers,
            {"prepared": "1", "written": "1"},
        )

    def settings(self) -> dict[str, Any]:
        """What the build follows from, beside the videos; where things lie and run does not count."""
        parts: dict[str, Any] = {
            "seed": self.seed,
            "sources": {name: source.name for name, source in self.sources.items()},
            "writers": {name: writer.settings() for name, writer in self.writers.items()},
        }
        others = ("clips", "pictures", "flags", "questions", "shown", "transcriber", "verification", "output")
        return parts | {name: settings_of(getattr(self, name)) for name in others}

    @property
    def is_complete(self) -> bool:
        """Whether a manifest is there."""
        return (self.out / MANIFEST).is_file()
