"""From a real MP4 with sound, over extraction, program and gates, to a transcript."""

from __future__ import annotations

import time
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medgrpo.data.build.audio import SAMPLE_RATE, extract_wav
from medgrpo.data.build.deidentify import PatternDeidentifier
from medgrpo.data.build.items import Speech
from medgrpo.data.build.speech_gates import SpeechGates, speech_ratio
from medgrpo.data.build.transcript import Transcriber, said_in
from medgrpo.data.build.whisperx import WhisperX
from medgrpo.data.readers import VideoError
from medgrpo.errors import UserError
from tests.data.build.speaking import film, program, voice, web_video
from tests.data.encoding import encode

SPOKEN = [(1.0, 3.0), (4.0, 6.5)]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("talk") / "talk.mp4", 8, voice(8, SPOKEN))


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory: pytest.TempPathFactory) -> Transcriber:
    return Transcriber(WhisperX(str(program(tmp_path_factory.mktemp("program"))), timeout=120))


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def loud_seconds(wav: np.ndarray) -> tuple[float, float]:
    heard = np.flatnonzero(np.abs(wav.astype(int)) > 1000) / SAMPLE_RATE
    return float(heard[0]), float(heard[-1])


def test_sound_is_extracted_at_the_seconds_of_the_video(talk: Path, tmp_path: Path) -> None:
    assert extract_wav(talk, tmp_path / "a.wav") == pytest.approx(8.0, abs=0.1)
    first, last = loud_seconds(samples(tmp_path / "a.wav"))
    assert (first, last) == (pytest.approx(1.0, abs=0.08), pytest.approx(6.5, abs=0.08))


def test_a_span_of_the_sound_is_extracted(talk: Path, tmp_path: Path) -> None:
    assert extract_wav(talk, tmp_path / "a.wav", 3.5, 7.0) == pytest.approx(3.5, abs=1e-4)
    first, last = loud_seconds(samples(tmp_path / "a.wav"))
    assert (first, last) == (pytest.approx(0.5, abs=0.08), pytest.approx(3.0, abs=0.08))


def test_sound_that_starts_late_is_preceded_by_silence(tmp_path: Path) -> None:
    late = film(tmp_path / "late.mkv", 8, voice(4, [(0.5, 2.0)]), late=2.0)
    extract_wav(late, tmp_path / "a.wav")
    assert loud_seconds(samples(tmp_path / "a.wav"))[0] == pytest.approx(2.5, abs=0.1)


def test_a_video_becomes_a_transcript(transcriber: Transcriber, talk: Path) -> None:
    found = transcriber.transcribe(web_video(talk))
    assert (found.status, found.language, found.program) == ("ok", "en", "whisperx 3.8.6, large-v3")
    assert [speech.text for speech in found.speeches] == ["Now we clip the duct with 2 clips."] * 2
    for speech, (start, end) in zip(found.speeches, SPOKEN, strict=True):
        assert speech.start == pytest.approx(start, abs=0.1)
        assert speech.end == pytest.approx(end, abs=0.1)
    # Seven of eight words have times: "2" could not be aligned.
    assert found.speech_ratio == pytest.approx(7 / 8 * 4.5 / 8, abs=0.02)
    assert transcriber.transcribe(web_video(talk)) == found


def test_times_are_of_the_video_where_its_footage_starts_later(transcriber: Transcriber, talk: Path) -> None:
    found = transcriber.transcribe(web_video(talk, start=3.5))
    assert [speech.start for speech in found.speeches] == [pytest.approx(4.0, abs=0.1)]


def test_the_detected_language_is_taken_from_the_log_not_from_the_file(
    transcriber: Transcriber, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_LANGUAGE", "de")
    found = transcriber.transcribe(web_video(talk))
    assert (found.status, found.language, found.speeches) == ("language", "de", ())
    every = replace(transcriber, gates=SpeechGates(languages=()))
    assert every.transcribe(web_video(talk)).status == "ok"


def test_a_language_without_an_aligner_keeps_coarse_times(
    transcriber: Transcriber, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_LANGUAGE", "is")
    monkeypatch.setenv("STAND_IN_DOES", "foreign")
    found = replace(transcriber, gates=SpeechGates(languages=["is"])).transcribe(web_video(talk))
    assert (found.status, found.language, len(found.speeches)) == ("ok", "is", 2)


def test_videos_without_speech_or_sound_have_a_status(transcriber: Transcriber, tmp_path: Path) -> None:
    quiet = film(tmp_path / "quiet.mp4", 6, voice(6, []))
    assert transcriber.transcribe(web_video(quiet)).status == "silent"
    short = film(tmp_path / "short.mp4", 8, voice(8, [(2.0, 2.3)]))
    assert transcriber.transcribe(web_video(short)).status == "silent"
    mute = transcriber.transcribe(web_video(encode(tmp_path / "mute.mp4")))
    assert (mute.status, mute.detail) == ("no_audio", "it has no audio track")


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("fail", "exit status 1: RuntimeError: CUDA failed with error out of memory"),
        ("broken", "speech.json: not valid JSON"),
        ("no_file", "speech.json: cannot be read: No such file"),
    ],
)
def test_a_program_that_fails_on_a_file_is_a_status(
    transcriber: Transcriber, talk: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str
) -> None:
    monkeypatch.setenv("STAND_IN_DOES", does)
    found = transcriber.transcribe(web_video(talk))
    assert (found.status, found.speeches) == ("failed", ())
    assert reason in found.detail


def test_a_program_that_hangs_is_stopped_with_all_it_started(
    tmp_path: Path, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser = WhisperX(str(program(tmp_path)), timeout=5)
    assert recogniser.version
    monkeypatch.setenv("STAND_IN_DOES", "hang")
    monkeypatch.setenv("STAND_IN_CHILD", str(tmp_path / "child"))
    found = Transcriber(recogniser).transcribe(web_video(talk))
    assert found.status == "failed"
    assert "took longer than 5 s and was stopped" in found.detail
    child = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    while child.exists() and child.read_text().split()[2] != "Z":  # it sleeps for 600 s unless it is killed
        time.sleep(0.05)


def test_a_broken_video_is_a_status(transcriber: Transcriber, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    with pytest.raises(VideoError, match=r"broken\.mp4: its sound cannot be decoded"):
        extract_wav(broken, tmp_path / "a.wav")
    found = transcriber.transcribe(web_video(broken))
    assert found.status == "failed"
    assert "broken.mp4" in found.detail


def test_a_missing_program_is_one_clear_error(talk: Path, tmp_path: Path) -> None:
    transcriber = Transcriber(WhisperX(str(tmp_path / "none" / "whisperx")))
    with pytest.raises(UserError, match="there is no such program"):
        transcriber.transcribe(web_video(talk))


def test_another_program_is_not_taken_for_whisperx(talk: Path) -> None:
    with pytest.raises(UserError, match="does not tell its version"):
        Transcriber(WhisperX("true")).transcribe(web_video(talk))


def test_neither_keys_nor_this_environment_reach_the_program(
    transcriber: Transcriber, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "here")
    assert transcriber.transcribe(web_video(talk)).status == "ok"


def test_names_are_hidden_and_counted_and_times_stay(
    transcriber: Transcriber, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "STAND_IN_SAYS", "My name is Jane Doe and we start now.|Dr. Smith calls 555-123-4567 today."
    )
    plain = transcriber.transcribe(web_video(talk))
    found = replace(transcriber, deidentifier=PatternDeidentifier()).transcribe(web_video(talk))
    assert [speech.text for speech in found.speeches] == [
        "My name is [person] and we start now.",
        "Dr. [person] calls [phone] today.",
    ]
    assert found.hidden == {"person": 2, "phone": 1}
    assert [(s.start, s.end) for s in found.speeches] == [(s.start, s.end) for s in plain.speeches]


def test_speech_ratio_counts_time_once() -> None:
    assert speech_ratio([(4, 6), (0, 2), (1, 3)], 10) == pytest.approx(0.5)
    assert speech_ratio([(8, 14)], 10) == pytest.approx(0.2)
    assert speech_ratio([], 10) == speech_ratio([(0, 1)], 0) == 0


def test_gates_name_what_is_wrong_with_their_settings() -> None:
    with pytest.raises(UserError, match="min_speech_ratio must be 0"):
        SpeechGates(min_speech_ratio=2)
    with pytest.raises(UserError, match="languages is a list"):
        SpeechGates(languages="en")


def test_a_clip_is_told_what_is_said_in_it() -> None:
    said = (Speech(0, 9, "before"), Speech(9, 12, "mostly in"), Speech(15, 16, "in"), Speech(19, 25, "after"))
    assert said_in(said, 10, 20) == (Speech(0, 2, "mostly in"), Speech(5, 6, "in"))
    assert said_in([Speech(0, 100, "all along")], 10, 20) == (Speech(0, 10, "all along"),)
