"""What is said in a web video: sound to WAV, recognition, gates, names hidden."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from medgrpo.data.build.audio import extract_wav
from medgrpo.data.build.deidentify import Deidentifier
from medgrpo.data.build.items import Speech, Transcript
from medgrpo.data.build.speech_gates import SpeechGates, speech_ratio
from medgrpo.data.build.whisperx import WhisperX, WhisperXError
from medgrpo.data.readers import VideoError
from medgrpo.data.sources.annotations import SourceVideo

__all__ = ["Transcriber", "hide_names", "said_in"]


@dataclass(frozen=True)
class Transcriber:
    """Writes down what is said in a video.

    Attributes:
        recogniser: The speech recogniser.
        gates: Which transcripts are used.
        deidentifier: Hides names and numbers; None leaves them, and then no speech may go to a remote writer.
    """

    recogniser: WhisperX = field(default_factory=WhisperX)
    gates: SpeechGates = field(default_factory=SpeechGates)
    deidentifier: Deidentifier | None = None

    def transcribe(self, video: SourceVideo) -> Transcript:
        """Write down what is said; a video on which that fails has a status instead of words.

        Raises:
            UserError: If the program cannot be run at all, or names cannot be hidden.
        """
        program = self.recogniser.version  # before anything else: nothing works without it
        footage = video.footage
        if footage.video is None:
            return Transcript("no_audio", program=program, detail="its footage is image files")
        with tempfile.TemporaryDirectory(prefix="medgrpo-speech-") as folder:
            wav = Path(folder) / "speech.wav"
            try:
                seconds = extract_wav(footage.video, wav, footage.start, footage.end)
                if not seconds:
                    reason = "it has no audio track" if seconds is None else "its audio track is empty"
                    return Transcript("no_audio", program=program, detail=reason)
                files = Path(folder) / "files"
                files.mkdir()
                spoken, language = self.recogniser.recognise(wav, files)
            except (VideoError, WhisperXError) as error:
                return Transcript("failed", program=program, detail=str(error).replace(folder, "")[:500])
        ratio = round(speech_ratio(spoken.words, max(seconds, video.duration - footage.start)), 4)
        status = self.gates.status(language, ratio, spoken.count)
        unplaced = f"{spoken.unplaced} sentences without a time are left out" if spoken.unplaced else ""
        transcript = Transcript(status, (), language, ratio, program, detail=unplaced)
        if status != "ok":
            return transcript
        speeches = tuple(
            replace(speech, start=speech.start + footage.start, end=speech.end + footage.start)
            for speech in spoken.speeches
        )
        transcript = replace(transcript, speeches=speeches)
        return transcript if self.deidentifier is None else hide_names(transcript, self.deidentifier)


def hide_names(transcript: Transcript, deidentifier: Deidentifier) -> Transcript:
    """A transcript with what identifies people replaced and counted; times stay as they are."""
    counts = Counter(transcript.hidden)
    speeches = []
    for speech in transcript.speeches:
        text, hidden = deidentifier.hide(speech.text)
        counts.update(hidden)
        speeches.append(replace(speech, text=text))
    return replace(transcript, speeches=tuple(speeches), cleared=True, hidden=dict(sorted(counts.items())))


def said_in(speeches: Iterable[Speech], start: float, end: float) -> tuple[Speech, ...]:
    """What is said in a clip, in seconds from its start.

    A sentence belongs to the clip if at least half of it, or of the clip, is in the other; its times are cut
    at the clip's bounds.

    Args:
        speeches: Of the video.
        start: Of the clip, seconds of the video.
        end: Of the clip, seconds of the video.
    """
    found = []
    for speech in speeches:
        shared = min(speech.end, end) - max(speech.start, start)
        if 2 * shared >= min(speech.end - speech.start, end - start) and shared >= 0:
            cut = max(speech.start, start) - start, min(speech.end, end) - start
            found.append(Speech(*cut, speech.text))
    return tuple(found)
