"""Speech recognition by WhisperX, a program of another environment that is run by its path.

WhisperX needs versions of PyTorch and transformers that this project does not, so it is installed apart::

    python -m venv whisperx-env && whisperx-env/bin/pip install whisperx

and only its command line and its files are used. ``scripts/check_whisperx.py`` checks an installed one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medgrpo.data.build.speech_file import Spoken, detected_language, read_speech
from medgrpo.errors import UserError

__all__ = ["WhisperX", "WhisperXError"]

_VERSION_SECONDS = 300.0
"""Time to tell its version: it imports PyTorch first."""

_NO_ALIGNER = "No default align-model for language"


class WhisperXError(UserError):
    """The program failed on one file; the next one may go well."""


@dataclass(frozen=True)
class WhisperX:
    """The ``whisperx`` program and how it is called.

    Attributes:
        program: Path of the program, or its name where it is on the PATH.
        model: Name or folder of the Whisper model.
        device: ``cpu`` or ``cuda``.
        compute_type: ``default``, ``float16``, ``float32`` or ``int8``.
        batch_size: Stretches of speech that are recognised together.
        language: Code of the language if it is known; None has it detected, in the first 30 seconds.
        model_dir: Folder with the models; with it nothing is loaded from elsewhere.
        timeout: Seconds that one file may take.
        options: Further words of its command line, e.g. ``["--vad_method", "silero"]``.
    """

    program: str = "whisperx"
    model: str = "large-v3"
    device: str = "cpu"
    compute_type: str = "int8"
    batch_size: int = 8
    language: str | None = None
    model_dir: str | None = None
    timeout: float = 3600.0
    options: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise UserError(f"timeout must be positive, got {self.timeout}")
        if isinstance(self.options, str):
            raise UserError(f"options is a list of words, got {self.options!r}")

    @cached_property
    def path(self) -> str:
        """The program.

        Raises:
            UserError: If there is none.
        """
        found = shutil.which(os.path.expanduser(self.program))
        if found is None:
            raise UserError(
                f"{self.program}: there is no such program; install WhisperX into an environment of its own "
                "and give the path of its `whisperx` (python scripts/check_whisperx.py PATH checks it)"
            )
        return found

    @cached_property
    def version(self) -> str:
        """Version of the program and name of the model, e.g. ``whisperx 3.8.6, large-v3``.

        Raises:
            UserError: If there is no such program, or it does not tell.
        """
        try:
            told = self._run(["--version"], _VERSION_SECONDS).split()
        except WhisperXError as error:
            raise UserError(f"{self.path}: does not tell its version: {error}") from None
        if not told or not told[-1][0].isdigit():
            raise UserError(f"{self.path}: does not tell its version; is it the whisperx program?")
        return f"whisperx {told[-1]}, {self.model}"

    def recognise(self, wav: Path, folder: Path) -> tuple[Spoken, str]:
        """Write down what is said in a file.

        Where WhisperX has no aligner for the language, sentences keep the coarser times of the recogniser.

        Args:
            wav: The sound.
            folder: An empty one, for the program's files.

        Returns:
            What is said, and the code of the language.

        Raises:
            WhisperXError: If the program fails on the file, takes too long or writes something else.
            UserError: If there is no such program.
        """
        command = self._command(wav, folder)
        try:
            log = self._run(command, self.timeout)
        except WhisperXError as error:
            if _NO_ALIGNER not in str(error):
                raise
            log = self._run([*command, "--no_align"], self.timeout)
        try:
            spoken = read_speech(folder / f"{wav.stem}.json")
        except UserError as error:
            raise WhisperXError(f"{self.path} wrote what it should not: {error}") from None
        language = self.language or detected_language(log)
        if not language and spoken.speeches:
            raise WhisperXError(f"{self.path} does not tell which language it detected")
        return spoken, language

    def _command(self, wav: Path, folder: Path) -> list[str]:
        told = {
            "--model": self.model,
            "--device": self.device,
            "--compute_type": self.compute_type,
            "--batch_size": str(self.batch_size),
            "--output_dir": str(folder),
            "--output_format": "json",
            "--verbose": "True",  # the language that it detects stands in its log alone
        }
        if self.language is not None:
            told["--language"] = self.language
        if self.model_dir is not None:
            told |= {"--model_dir": self.model_dir, "--model_cache_only": "True"}
        return [str(wav), *(word for pair in told.items() for word in pair), *self.options]

    def _run(self, arguments: Sequence[str], seconds: float) -> str:
        """Run the program to its end, or stop it and all that it started; what it printed."""
        try:
            process = subprocess.Popen(
                [self.path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                env=_environment(),
            )
        except OSError as error:
            raise UserError(f"{self.path}: cannot be run: {error.strerror}") from None
        with process:
            try:
                log, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                raise WhisperXError(f"{self.path} took longer than {seconds:g} s and was stopped") from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if code := process.returncode:
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            raise WhisperXError(f"{self.path} ended with {how}: {_reason(log)}")
        return log


def _environment() -> dict[str, str]:
    """Of this process, without what leads the other environment's Python astray, and without keys."""
    return {name: value for name, value in os.environ.items() if not _KEPT_BACK.search(name)}


_KEPT_BACK = re.compile(
    r"^PYTHON|^VIRTUAL_ENV|^LD_PRELOAD|KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE
)

_RAISED = re.compile(r"^[\w.]*(?:Error|Exception|error)\b")


def _reason(log: str) -> str:
    """The last line that names an error, or the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    return (raised or lines or ["it printed nothing"])[-1][:300]
