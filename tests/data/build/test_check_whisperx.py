"""The script that checks an installed WhisperX, on the stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.data.build.speaking import film, program, voice

ROOT = Path(__file__).resolve().parents[3]


def check(*arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "scripts/check_whisperx.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_program_that_does_as_expected_passes(tmp_path: Path) -> None:
    talk = film(tmp_path / "talk.mp4", 6, voice(6, [(1, 3), (4, 5)]))
    code, told = check(str(program(tmp_path)), str(talk), "--says", "duct")
    assert (code, told.count("pass  "), told.count("FAIL")) == (0, 10, 0)
    assert "version: whisperx 3.8.6, large-v3" in told
    assert "language, from the log: en" in told


def test_what_is_not_as_expected_fails(tmp_path: Path) -> None:
    talk = film(tmp_path / "talk.mp4", 6, voice(6, [(1, 3)]))
    code, told = check(str(program(tmp_path)), str(talk), STAND_IN_LANGUAGE="de")
    assert code == 1
    assert "FAIL  language, from the log: de" in told
    code, told = check(str(tmp_path / "none"), str(talk))
    assert code == 1
    assert "FAIL" in told
    assert "there is no such program" in told
