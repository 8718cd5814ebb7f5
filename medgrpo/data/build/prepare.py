"""Everything about a source video that needs no writer: annotations, clips, pictures, speech, questions.

One video is one item of work. Its result depends on nothing but the annotations, the footage and the
settings, and is kept under a hash of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medgrpo.data.build.clips import ClipPolicy, plan_clips
from medgrpo.data.build.fingerprints import footage_fingerprint, settings_of
from medgrpo.data.build.frame_flags import FrameFlags
from medgrpo.data.build.items import BuildClip, ClipPictures, Draft, Picture, Transcript
from medgrpo.data.build.pictures import PicturePolicy, write_video_pictures
from medgrpo.data.build.questions import QuestionPolicy, draft_questions
from medgrpo.data.build.results import Results, content_hash, type_adapter
from medgrpo.data.build.templates import SourceTexts, source_texts
from medgrpo.data.build.transcript import Transcriber
from medgrpo.data.coordinates import CANVASES
from medgrpo.data.sources.annotations import Reading, SourceVideo
from medgrpo.data.sources.base import Source
from medgrpo.errors import ClipError
from medgrpo.types import Canvas, Clip

__all__ = ["Item", "Preparation", "Prepared", "PreparedClip", "Result", "prepared_results"]

Item = tuple[str, str]
"""Name of a source in the config, and id of one of its videos."""


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """A clip with its frames and the questions about it."""

    clip: BuildClip
    pictures: ClipPictures
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source video as far as it goes without a writer.

    Attributes:
        video: Its annotations.
        clips: In the order of time.
        transcript: What is said in it; None where nobody asked.
        dropped: Clips and questions that were left out, by reason.
        problems: What could not be read of its frames.
    """

    video: SourceVideo
    clips: tuple[PreparedClip, ...]
    transcript: Transcript | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a video.

    Attributes:
        item: Which.
        key: Under which its :class:`Prepared` is kept; empty if the video cannot be used.
        reading: Problems and counts of its annotations; the video itself is left out.
        clips: How many.
        drafts: Questions that have their answer.
        texts: Questions that wait for a text.
        problems: What could not be read of its frames.
        dropped: Clips and questions that were left out, by reason.
    """

    item: Item
    key: str
    reading: Reading
    clips: int = 0
    drafts: int = 0
    texts: int = 0
    problems: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)


class Preparation:
    """Prepares videos; can be sent to another process or machine that sees the same folders.

    Args:
        work: Folder of the kept results.
        out: Folder of the build, below which frames go.
        sources: By the name that the config gives them.
        clips: Which clips are cut.
        pictures: How frames are written.
        flags: Looks at frames.
        questions: Which questions are asked.
        prompts: The user's own folder of prompts; None takes the shipped ones.
        transcriber: Of web videos; None leaves speech alone.
    """

    def __init__(
        self,
        work: Path,
        out: Path,
        sources: Mapping[str, Source],
        clips: ClipPolicy,
        pictures: PicturePolicy,
        flags: FrameFlags,
        questions: QuestionPolicy,
        prompts: str | None,
        transcriber: Transcriber | None,
    ) -> None:
        self.work = work
        self.out = out
        self.sources = dict(sources)
        self.clips = clips
        self.pictures = pictures
        self.flags = flags
        self.questions = questions
        self.prompts = prompts
        self.transcriber = transcriber

    def __call__(self, item: Item) -> Result:
        """Prepare one video, or find it prepared.

        Raises:
            UserError: If a file of the source as a whole cannot be read, or nothing can be written.
        """
        source = self.sources[item[0]]
        reading = source.read(item[1])
        video = reading.video
        if video is None:
            return Result(item, "", reading)
        results = prepared_results(self.work)
        texts = source_texts(video.source, self.prompts)
        key = content_hash([self._settings(texts), fact_hash(video), footage_fingerprint(video.footage)])
        prepared = results.made(key, lambda: self._prepared(video, texts, source.web))
        if not self._has_pictures(prepared):
            self._write(video, [one.clip for one in prepared.clips])
        drafts = [draft for clip in prepared.clips for draft in clip.drafts]
        waiting = sum(draft.answer is None for draft in drafts)
        told = Reading(None, reading.problems, reading.counts)
        dropped = prepared.dropped
        return Result(
            item, key, told, len(prepared.clips), len(drafts) - waiting, waiting, prepared.problems, dropped
        )

    def planned(self, item: Item) -> Prepared | None:
        """A video without pictures and speech: what its questions will be, if every frame can be read."""
        source = self.sources[item[0]]
        video = source.read(item[1]).video
        if video is None:
            return None
        texts = source_texts(video.source, self.prompts)
        clips = plan_clips(video, self.clips)
        canvas = video.canvas or Canvas(1, 1)
        shown = [
            ClipPictures(
                tuple(Picture("", time, k, "") for time, k in zip(clip.times, clip.frame_ids, strict=True)),
                canvas.width,
                canvas.height,
                CANVASES.get(video.source),
            )
            for clip in clips
        ]
        return self._drafted(video, texts, clips, shown, None)

    def _settings(self, texts: SourceTexts) -> list[Any]:
        """What the result follows from, beside the video."""
        parts = (self.clips, self.pictures, self.flags, self.questions, self.transcriber)
        return [*(settings_of(part) for part in parts), settings_of(texts)]

    def _prepared(self, video: SourceVideo, texts: SourceTexts, web: bool) -> Prepared:
        clips = plan_clips(video, self.clips)
        shown = self._write(video, clips)
        return self._drafted(video, texts, clips, shown, self._transcript(video) if web else None)

    def _write(self, video: SourceVideo, clips: Sequence[BuildClip]) -> tuple[ClipPictures | ClipError, ...]:
        return write_video_pictures(video, clips, self.out, self.pictures, self.flags)

    def _has_pictures(self, prepared: Prepared) -> bool:
        """Whether the frames are still there."""
        files = {one.file for clip in prepared.clips for one in clip.pictures.pictures}
        return all((self.out / file).is_file() for file in files)

    def _transcript(self, video: SourceVideo) -> Transcript | None:
        """What is said, which is kept by itself: it is dear."""
        transcriber = self.transcriber
        if transcriber is None:
            return None
        key = content_hash([settings_of(transcriber), footage_fingerprint(video.footage)])
        results: Results[Transcript] = Results(self.work, "transcripts@1", Transcript)
        found = results.get(key)
        if found is None:
            found = transcriber.transcribe(video)
            if found.status != "failed":  # the next run tries again
                results.made(key, lambda: found)
        return found

    def _drafted(
        self,
        video: SourceVideo,
        texts: SourceTexts,
        clips: Sequence[BuildClip],
        shown: Sequence[ClipPictures | ClipError],
        transcript: Transcript | None,
    ) -> Prepared:
        """The questions about all clips that have enough frames."""
        dropped: Counter[str] = Counter()
        problems: list[str] = []
        made: list[PreparedClip] = []
        for clip, pictures in zip(clips, shown, strict=True):
            if isinstance(pictures, ClipError):
                dropped["clips_without_frames"] += 1
                problems.append(str(pictures))
                continue
            problems += pictures.problems
            drafts, left_out = draft_questions(video, clip, pictures, texts, self.questions)
            dropped.update(left_out)
            made.append(PreparedClip(clip, pictures, drafts))
        return Prepared(video, tuple(made), transcript, dict(sorted(dropped.items())), tuple(problems))


def prepared_results(work: Path) -> Results[Prepared]:
    """Where prepared videos are kept."""
    return Results(work, "prepared@1", Prepared)


def fact_hash(video: SourceVideo) -> str:
    """A hash of all that a source says about a video; where its files lie does not count."""
    facts = replace(video, footage=Clip(video=Path(video.video_id)))
    return hashlib.sha256(type_adapter(SourceVideo).dump_json(facts)).hexdigest()
