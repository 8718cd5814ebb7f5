"""Prompts of writers: a few frames with what is annotated about them, each after its time; instructions.

Frame-annotated sources are shown with their annotations drawn on; of web videos, which are explained by
voice, the frames are plain and the transcript is told. What is flagged, or was not cleared of names, is in no
prompt for a server outside of the house.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from medgrpo.data.build.items import BuildClip, Draft, Transcript
from medgrpo.data.build.prepare import Prepared, PreparedClip
from medgrpo.data.build.templates import SourceTexts
from medgrpo.data.build.transcript import said_in
from medgrpo.data.build.writer_pictures import BLACK, MadePictures, WriterPicturePolicy, writer_pictures
from medgrpo.data.build.writers import FLAGGED, SPEECH, TextRequest
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.errors import UserError
from medgrpo.services.chat_message import PicturedPrompt

__all__ = ["PromptPolicy", "requests_of", "text_of"]

NOTHING = "nothing"


@dataclass(frozen=True)
class PromptPolicy:
    """What writers are shown and told.

    Attributes:
        pictures: How a clip is shown. Whether annotations are drawn follows from the source.
        speech_chars: Most characters of speech.

    Raises:
        UserError: If a number is out of range.
    """

    pictures: WriterPicturePolicy = field(default_factory=WriterPicturePolicy)
    speech_chars: int = 4000

    def __post_init__(self) -> None:
        if self.speech_chars < 0:
            raise UserError(f"shown: speech_chars must be at least 0, got {self.speech_chars}")


def requests_of(
    prepared: Prepared, out: Path, texts: SourceTexts, policy: PromptPolicy, web: bool
) -> list[TextRequest]:
    """A request for each draft of a video that waits for a text.

    Args:
        prepared: The video.
        out: Folder of the build, where the frames are.
        texts: Of its source.
        policy: What is shown.
        web: Whether the source is explained by voice; then nothing is drawn.
    """
    found = []
    for clip in prepared.clips:
        made: MadePictures = {}
        for draft in clip.drafts:
            if draft.answer is None:
                found.append(_request(prepared, clip, draft, out, texts, policy, web, made))
    return found


def _request(
    prepared: Prepared,
    clip: PreparedClip,
    draft: Draft,
    out: Path,
    texts: SourceTexts,
    policy: PromptPolicy,
    web: bool,
    made: MadePictures,
) -> TextRequest:
    speech = _speech(prepared.transcript, draft.clip, policy)
    named = speech != NOTHING and prepared.transcript is not None and not prepared.transcript.cleared
    holds = ("annotations", "pictures", *(["speech"] if speech != NOTHING else []))
    shown_as = replace(policy.pictures, annotated=policy.pictures.annotated and not web)

    def prompt(remote: bool) -> PicturedPrompt | None:
        shown = writer_pictures(prepared.video, draft, clip.pictures, out, shown_as, remote=remote, made=made)
        if not shown.complete:
            return None
        told = NOTHING if remote and named else speech
        return PicturedPrompt(_instructions(draft, prepared.video, texts, told), shown.pictures)

    inside = prompt(remote=False)
    if inside is None:
        return TextRequest(draft, None, None, "no frame of it can be shown", holds)
    flagged = any(set(picture.flags) - {BLACK} for picture in clip.pictures.pictures)
    held_back = (*([FLAGGED] if flagged else []), *([SPEECH] if named else []))
    outside = prompt(remote=True) if held_back else inside
    detail = "" if outside is not None else "frames that it needs must not leave the machine"
    return TextRequest(draft, inside, outside, detail, holds, held_back)


def text_of(
    draft: Draft, video: SourceVideo, texts: SourceTexts, transcript: Transcript | None, policy: PromptPolicy
) -> str:
    """The instructions of a prompt, without its pictures."""
    return _instructions(draft, video, texts, _speech(transcript, draft.clip, policy))


def _instructions(draft: Draft, video: SourceVideo, texts: SourceTexts, speech: str) -> str:
    fields = {
        "duration": f"{draft.clip.duration:.1f}",
        "domain": texts.domain + (f" The procedure: {video.procedure}." if video.procedure else ""),
        "notes": texts.notes.strip(),
        "annotations": _annotations(video, draft.clip),
        "speech": speech,
        "events": "\n".join(
            f"{k}. {event.start:.1f}-{event.end:.1f} seconds: {event.caption}"
            for k, event in enumerate(draft.events, 1)
        ),
        "count": str(len(draft.events)),
        "object": draft.region_label,
        "start": f"{draft.region_time:.1f}" if draft.region_time is not None else "",
        "end": f"{draft.region_end:.1f}" if draft.region_end is not None else "",
    }
    return texts.templates[draft.task].filled(**fields)


def _annotations(video: SourceVideo, clip: BuildClip) -> str:
    """Events of a clip in its own time, one a line."""
    lines = [
        f"{max(0.0, event.start - clip.start):.1f}-{min(clip.duration, event.end - clip.start):.1f} seconds: "
        f"{event.kind} {event.label}"
        for event in video.events
        if event.start < clip.end and event.end > clip.start
    ]
    return "\n".join(lines) or NOTHING


def _speech(transcript: Transcript | None, clip: BuildClip, policy: PromptPolicy) -> str:
    """What is said during a clip, in its own time."""
    if transcript is None:
        return NOTHING
    lines = [
        f"{one.start:.1f} seconds: {one.text}" for one in said_in(transcript.speeches, clip.start, clip.end)
    ]
    return "\n".join(lines)[: policy.speech_chars] or NOTHING
