"""WhisperX's JSON file, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medgrpo.data.build.items import Speech
from medgrpo.data.build.speech_file import detected_language, read_speech
from medgrpo.errors import UserError


def read(folder: Path, content: Any) -> Any:
    path = folder / "speech.json"
    path.write_text(json.dumps(content))
    return read_speech(path)


def test_words_may_lack_times_and_scores(tmp_path: Path) -> None:
    words = [{"word": "Take"}, {"word": "2", "start": None}, {"word": "clips", "start": 3.0, "end": 3.5}]
    found = read(
        tmp_path,
        {
            "segments": [
                {"start": 4.0, "end": 5.0, "text": " Then cut.", "words": []},
                {"text": "Take 2 clips", "words": words},
                {"start": float("nan"), "end": float("nan"), "text": "42", "words": [{"word": "42"}]},
                {"start": 6.0, "end": 6.5, "text": "  "},
            ]
        },
    )
    assert found.speeches == (Speech(3.0, 3.5, "Take 2 clips"), Speech(4.0, 5.0, "Then cut."))
    assert found.words == ((4.0, 5.0), (3.0, 3.5))
    assert (found.count, found.unplaced) == (5, 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "field 'segments': expected a list"),
        ({"segments": {}}, "field 'segments': expected a list"),
        ({"segments": [{"start": 0, "end": 1}]}, r"field 'segments\[0\].text': expected a text"),
        ({"segments": [{"text": "a", "words": "b"}]}, r"field 'segments\[0\].words': expected a list"),
        ({"segments": [{"text": "a", "start": "0", "end": 1}]}, r"segments\[0\].start': '0' is not a number"),
        ({"segments": [{"text": "a", "start": 2, "end": 1}]}, r"segments\[0\].end': the span 2-1 is none"),
        (
            {"segments": [{"text": "a", "start": 0, "end": 1, "words": [{"word": "a", "start": True}]}]},
            r"segments\[0\].words\[0\].start': True is not a number",
        ),
    ],
)
def test_another_form_is_named_with_its_field(tmp_path: Path, content: Any, problem: str) -> None:
    with pytest.raises(UserError, match=rf"speech.json: .*{problem}"):
        read(tmp_path, content)


def test_the_log_tells_the_language() -> None:
    log = "INFO - Performing transcription...\nINFO - Detected language: de (0.97) in first 30s of audio\n"
    assert detected_language(log) == "de"
    assert detected_language("Detected language: haw (0.41) in first 30s") == "haw"
    assert detected_language("nothing") == ""
