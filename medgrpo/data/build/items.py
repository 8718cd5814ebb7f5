"""What goes from stage to stage of a build: clips, their pictures, speech, questions, texts.

All of it is plain frozen data that JSON can hold: a stage's result can be kept and read back, and another
process or machine can make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from medgrpo.types import Box, Canvas, Segment

__all__ = [
    "BuildClip",
    "ClipPictures",
    "Draft",
    "Level",
    "Picture",
    "Speech",
    "Transcript",
    "WrittenText",
]

Level = Literal["video", "segment", "frame"]


@dataclass(frozen=True, slots=True)
class BuildClip:
    """A stretch of a source video that questions will be about.

    Attributes:
        source: The benchmark's name of the dataset.
        video_id: As the source writes it.
        canonical_id: One name for one operation; splits go by it.
        start: Seconds into the source video.
        end: Seconds into the source video, exclusive.
        fps: Rate of the frame list, frames a second.
        times: Seconds from the start of the clip of each listed frame, rising.
        frame_ids: Of the listed frames on the source's own clock.
        last_id: Of the clip's last frame on that clock, listed or not.
    """

    source: str
    video_id: str
    canonical_id: str
    start: float
    end: float
    fps: float
    times: tuple[float, ...]
    frame_ids: tuple[int, ...]
    last_id: int = 0

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame that was written to the disk.

    Attributes:
        file: Relative to the folder of the build.
        time: Seconds from the start of the clip.
        frame_id: On the source's own clock.
        sha256: Of the file.
        flags: Why it must not leave the machine: ``out_of_body``, ``identifying``; or ``black``.
    """

    file: str
    time: float
    frame_id: int
    sha256: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClipPictures:
    """The frames of a clip.

    Attributes:
        pictures: One for each time of the clip that could be read.
        width: Of the stored frames, pixels.
        height: Of the stored frames, pixels.
        canvas: What boxes in questions and answers refer to; None is the stored size.
        problems: Times that could not be read, with the reason.
    """

    pictures: tuple[Picture, ...]
    width: int
    height: int
    canvas: Canvas | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Speech:
    """A sentence that was said: seconds of the source video, and the words."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a web video.

    Attributes:
        status: ``ok``, or why the words are not used: ``silent``, ``language``, ``no_audio``, ``failed``.
        speeches: In order; empty unless the status is ``ok``.
        language: Code as the program detected it.
        speech_ratio: Share of the duration in which words are said, 0..1.
        program: Version of the program and of its model.
        cleared: Whether names and numbers were looked for and replaced.
        hidden: How often a name or number was replaced, by kind, e.g. ``{"person": 3}``.
        detail: One line on what failed.
    """

    status: str
    speeches: tuple[Speech, ...] = ()
    language: str = ""
    speech_ratio: float = 0.0
    program: str = ""
    cleared: bool = False
    hidden: Mapping[str, int] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A question about a clip. Structured tasks have their answer, captions wait for two writers.

    Attributes:
        key: The same for the same question in every run: a hash of clip, task and question.
        task: Canonical name, e.g. ``dense_captioning``.
        level: What the question is about.
        clip: The clip.
        question: Persona, domain and query, without the ``<video>`` marker.
        other_question: The same in other words, for the text of the second writer: rows of one clip, task and
            question would have one key.
        answer: In the published format; None where it is to be written.
        truth: ``struc_info``; None where it depends on what is written.
        events: For dense captions, the spans to describe: seconds from the clip's start, captions are labels.
        region_time: For region captions, seconds from the clip's start of the frame with the box.
        region_end: For region captions, seconds from the clip's start until which the caption tells.
        region_box: For region captions, pixels of the canvas.
        region_label: For region captions, what is in the box, which writers are told and the question hides.
        template: Id and version of the writer's prompt, e.g. ``CholecT50/video_summary@1``; empty if none.
    """

    key: str
    task: str
    level: Level
    clip: BuildClip
    question: str
    other_question: str = ""
    answer: str | None = None
    truth: Any = None
    events: tuple[Segment, ...] = ()
    region_time: float | None = None
    region_end: float | None = None
    region_box: Box | None = None
    region_label: str = ""
    template: str = ""


@dataclass(frozen=True, slots=True)
class WrittenText:
    """What a writer made of a draft.

    Attributes:
        writer: Suffix of the question type: ``gpt`` or ``gemini``.
        model: As the server named itself.
        status: ``ok``, or why there is no text: ``refused``, ``schema``, ``http``, ``timeout``, ``budget``,
            ``withheld`` (pictures that must not leave the machine, or words that would).
        text: The answer in the published format; empty unless the status is ``ok``.
        captions: For dense captions, one for each event of the draft.
        prompt_hash: sha256 of everything that was sent.
        prompt_tokens: Sent.
        completion_tokens: Received.
        cost: In the currency of the price table.
        detail: One line on what failed.
    """

    writer: str
    model: str
    status: str
    text: str = ""
    captions: tuple[str, ...] = ()
    prompt_hash: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    detail: str = ""
