"""Verification of a stream into files: what is kept, what is rejected, and the report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from medgrpo.data.build.verify.candidates import ClipCandidates, Lines
from medgrpo.data.build.verify.findings import KeptClip, Rejection
from medgrpo.data.build.verify.report import VerificationReport
from medgrpo.data.build.verify.verify import Verifier
from medgrpo.services.files import whole_file, write_whole

__all__ = ["KEPT", "REJECTED", "REPORT", "verify_into"]

KEPT = "kept.jsonl"
REJECTED = "rejected.jsonl"
REPORT = "verification.json"


def verify_into(clips: Iterable[ClipCandidates], folder: Path, verifier: Verifier) -> VerificationReport:
    """Verify clips one after the other.

    Args:
        clips: For example of :meth:`Lines.read`.
        folder: Gets ``kept.jsonl`` (a :class:`KeptClip` a line, also of a clip without a question left),
            ``rejected.jsonl`` (a :class:`Rejection` a line) and ``verification.json``.
        verifier: Made for this run: it counts, and knows the questions that it saw.

    Raises:
        UserError: If a clip is no candidate, or the files cannot be written.
    """
    kept_lines, rejected_lines = Lines(KeptClip), Lines(Rejection)
    with whole_file(folder / KEPT) as kept_file, whole_file(folder / REJECTED) as rejected_file:
        for kept, rejected in verifier.verify(clips):
            kept_file.write(kept_lines.text(kept).encode())
            for one in rejected:
                rejected_file.write(rejected_lines.text(one).encode())
    write_whole(folder / REPORT, json.dumps(verifier.report.table(), indent=1) + "\n")
    return verifier.report
