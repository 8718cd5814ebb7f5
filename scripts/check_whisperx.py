"""Check that an installed WhisperX does what the build of web videos expects of it.

    python scripts/check_whisperx.py whisperx-env/bin/whisperx talk.mp4
    python scripts/check_whisperx.py whisperx-env/bin/whisperx talk.mp4 --model small --says "the word"

Give a video or a sound file of half a minute or more in which somebody speaks English. Each line is one thing
that was checked; exit status 1 if one of them fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

from medgrpo.data.build.audio import SAMPLE_RATE, extract_wav
from medgrpo.data.build.speech_file import Spoken
from medgrpo.data.build.speech_gates import speech_ratio
from medgrpo.data.build.whisperx import WhisperX
from medgrpo.errors import UserError

SILENCE = 10
"""Seconds of the silent file."""


def main() -> int:
    """Check, print, say whether all passed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", help="path of the whisperx program")
    parser.add_argument("video", type=Path, help="a video or sound file with English speech")
    parser.add_argument("--model", default="large-v3", help="Whisper model (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--compute-type", default="int8", help="e.g. float16 on a GPU (%(default)s)")
    parser.add_argument("--model-dir", help="folder with the models; nothing is then loaded from elsewhere")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds a file may take (%(default)g)")
    parser.add_argument("--says", default="", help="a word that is said, to look for")
    args = parser.parse_args()
    program = WhisperX(
        args.program,
        model=args.model,
        device=args.device,
        compute_type=args.compute_type,
        model_dir=args.model_dir,
        timeout=args.timeout,
    )
    try:
        return _report(_checks(program, args.video, args.says))
    except UserError as error:
        print(f"FAIL  {error}")
        return 1


def _report(checks: Iterator[tuple[bool, str]]) -> int:
    failed = 0
    for passed, what in checks:
        failed += not passed
        print(f"{'pass' if passed else 'FAIL'}  {what}", flush=True)
    return 1 if failed else 0


def _checks(program: WhisperX, video: Path, says: str) -> Iterator[tuple[bool, str]]:
    yield True, f"version: {program.version}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = extract_wav(video, folder / "speech.wav")
        yield bool(seconds), f"sound: {seconds or 0:.1f} s"
        if not seconds:
            return
        spoken, language = _recognised(program, folder, "speech")
        yield from _speech_checks(spoken, language, seconds)
        if says:
            text = " ".join(speech.text for speech in spoken.speeches)
            yield says.lower() in text.lower(), f"{says!r} is in the text: {text[:200]}"
        with wave.open(str(folder / "silence.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes(bytes(2 * SAMPLE_RATE * SILENCE))
        silent, _ = _recognised(program, folder, "silence")
        ratio = speech_ratio(silent.words, SILENCE)
        yield ratio < 0.05, f"silence: {silent.count} words, speech ratio {ratio:.2f}"


def _recognised(program: WhisperX, folder: Path, name: str) -> tuple[Spoken, str]:
    files = folder / name
    files.mkdir()
    return program.recognise(folder / f"{name}.wav", files)


def _speech_checks(spoken: Spoken, language: str, seconds: float) -> Iterator[tuple[bool, str]]:
    speeches = spoken.speeches
    facts: list[tuple[Callable[[], bool], str]] = [
        (lambda: bool(speeches), f"sentences: {len(speeches)}, words: {spoken.count}"),
        (lambda: language == "en", f"language, from the log: {language or 'none'}"),
        (lambda: len(spoken.words) > len(speeches), f"aligned words: {len(spoken.words)}"),
        (lambda: all(speech.end <= seconds + 1 for speech in speeches), "no sentence ends after the sound"),
        (lambda: spoken.unplaced == 0, f"sentences without a time: {spoken.unplaced}"),
    ]
    yield from ((check(), what) for check, what in facts)
    yield True, f"speech ratio: {speech_ratio(spoken.words, seconds):.2f}"


if __name__ == "__main__":
    sys.exit(main())
