"""A program that speaks WhisperX's command line, log and files, and "recognises" loud stretches of sound.

What it does besides is told by the environment: STAND_IN_LANGUAGE (what it detects), STAND_IN_SAYS (texts of
the sentences, parted by "|"), STAND_IN_DOES: fail, hang, broken, foreign, no_file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

FRAME = 0.02
"""Seconds over which loudness is measured."""
PAUSE = 0.4
"""Seconds of quiet that part two sentences."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="whisperx")
    parser.add_argument("audio", nargs="+")
    for name in (
        "model",
        "model_dir",
        "model_cache_only",
        "device",
        "compute_type",
        "language",
        "vad_method",
    ):
        parser.add_argument(f"--{name}")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--output_dir", "-o", default=".")
    parser.add_argument("--output_format", "-f", default="all", choices=["all", "srt", "json"])
    parser.add_argument("--verbose", default="True")
    parser.add_argument("--no_align", action="store_true")
    parser.add_argument("--version", "-V", action="version", version="%(prog)s 3.8.6")
    args = parser.parse_args()
    does = os.environ.get("STAND_IN_DOES", "")
    assert not any(name.startswith("PYTHONPATH") for name in os.environ), "another environment's modules"
    assert "STAND_IN_API_KEY" not in os.environ, "a key was handed over"
    if does == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(os.environ["STAND_IN_CHILD"]).write_text(str(child.pid))
        time.sleep(600)
    if does == "fail":
        raise RuntimeError("CUDA failed with error out of memory")
    detected = os.environ.get("STAND_IN_LANGUAGE", "en")
    for name in args.audio:
        segments = recognise(Path(name), aligned=not args.no_align)
        if args.language is None and args.verbose == "True":
            print(f"whisperx.asr - INFO - Detected language: {detected} (0.98) in first 30s of audio")
        if does == "foreign" and not args.no_align:
            raise ValueError(f"No default align-model for language: {detected}")
        content: dict[str, Any] = {"segments": segments}
        if segments and not args.no_align:
            content["word_segments"] = [word for segment in segments for word in segment["words"]]
        content["language"] = args.language or "en"  # as WhisperX does: never what it detected
        text = json.dumps(content, ensure_ascii=False)
        if does != "no_file":
            path = Path(args.output_dir) / f"{Path(name).stem}.json"
            path.write_text(text[: len(text) // 2] if does == "broken" else text, encoding="utf-8")


def recognise(path: Path, aligned: bool) -> list[dict[str, Any]]:
    """A sentence for each loud stretch."""
    import numpy as np

    with wave.open(str(path)) as file:
        form = file.getnchannels(), file.getsampwidth(), file.getframerate()
        assert form == (1, 2, 16000), f"expected 16 kHz, mono, 16 bits, got {form}"
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float64)
    step = round(FRAME * 16000)
    blocks = samples[: len(samples) // step * step].reshape(-1, step)
    loud = np.flatnonzero(np.sqrt((blocks**2).mean(axis=1)) > 500)
    says = os.environ.get("STAND_IN_SAYS", "Now we clip the duct with 2 clips.").split("|")
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE / FRAME) + 1) if loud.size else []
    segments = []
    for number, part in enumerate(parts):
        start, end = float(part[0] * FRAME), float((part[-1] + 1) * FRAME)
        text = says[number % len(says)]
        segment: dict[str, Any] = {"start": round(start, 3), "end": round(end, 3), "text": f" {text}"}
        if aligned:
            segment["words"] = words_of(text, start, end)
        segments.append(segment)
    return segments


def words_of(text: str, start: float, end: float) -> list[dict[str, Any]]:
    """The words; those that hold a digit could not be aligned and have no times."""
    texts = text.split()
    each = (end - start) / len(texts)
    return [
        {"word": word}
        if any(letter.isdigit() for letter in word)
        else {
            "word": word,
            "start": round(start + k * each, 3),
            "end": round(start + (k + 1) * each, 3),
            "score": float("nan") if k == 0 else 0.9,
        }
        for k, word in enumerate(texts)
    ]


if __name__ == "__main__":
    main()
