"""What a build is made of and what it left: every file's hash, counts, versions, settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import medgrpo
from medgrpo.data.build.verify.findings import KeptClip
from medgrpo.errors import UserError
from medgrpo.services.files import file_hash, read_json, write_whole

__all__ = [
    "FRAMES",
    "MANIFEST",
    "Provenance",
    "SourceFacts",
    "check_manifest",
    "frame_lines",
    "write_manifest",
]

MANIFEST = "manifest.json"
FRAMES = "frames.sha256"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """Of a source dataset, for manifest and data card.

    Attributes:
        licence: As far as it is known.
        homepage: Where it is had from.
        files: Hashes of its annotation files, by name.
        counts: What was read and dropped by rule, summed over its videos.
        problems: Bad rows and frames that were left out, by field.
    """

    licence: str = ""
    homepage: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a build was made from.

    Attributes:
        name: Of the build.
        config_hash: sha256 of its settings.
        seed: Of the build.
        sources: By name.
        prompts: Id and version of each prompt template to its hash.
        writers: Suffix of the question type to what wrote: model as asked for and as the servers named it,
            address, whether it is remote, texts, tokens, cost.
        versions: Further versions, e.g. of the stages.
    """

    name: str
    config_hash: str
    seed: int
    sources: Mapping[str, SourceFacts] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    writers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def frame_lines(clips: Iterable[KeptClip], written: Iterable[str]) -> Iterator[str]:
    """Hashes of the frames that records list, in the form of ``sha256sum``, once for each video.

    Args:
        clips: All clips; those of one video stand together.
        written: Canonical ids of the videos that are in a records file.
    """
    videos = frozenset(written)
    video: tuple[str, str] | None = None
    told: set[str] = set()
    for clip in clips:
        if not clip.pairs or clip.clip.canonical_id not in videos:
            continue
        own = (clip.clip.source, clip.clip.video_id)
        if own != video:
            video, told = own, set()
        for picture in clip.pictures.pictures:
            if picture.file not in told:
                told.add(picture.file)
                yield f"{picture.sha256}  {picture.file}\n"


def write_manifest(
    folder: Path, files: Iterable[Path], provenance: Provenance, results: Mapping[str, Any]
) -> Path:
    """Write ``manifest.json``.

    Args:
        folder: Of the build.
        files: All that was written, below the folder.
        provenance: What it was made from.
        results: Counts and settings of the last stages, ready for JSON.

    Raises:
        UserError: If it cannot be written.
    """
    listed = {
        path.relative_to(folder).as_posix(): {"sha256": file_hash(path), "bytes": path.stat().st_size}
        for path in sorted(files)
    }
    manifest = {
        "manifest_version": _VERSION,
        "name": provenance.name,
        "config_hash": provenance.config_hash,
        "seed": provenance.seed,
        "versions": {"medgrpo": medgrpo.__version__} | dict(sorted(provenance.versions.items())),
        "sources": {
            name: {
                "licence": facts.licence,
                "homepage": facts.homepage,
                "files": dict(sorted(facts.files.items())),
                "counts": dict(sorted(facts.counts.items())),
                "problems": dict(sorted(facts.problems.items())),
            }
            for name, facts in sorted(provenance.sources.items())
        },
        "prompts": dict(sorted(provenance.prompts.items())),
        "writers": {name: dict(facts) for name, facts in sorted(provenance.writers.items())},
        **results,
        "files": listed,
    }
    return write_whole(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def check_manifest(folder: Path, frames: bool = False) -> list[str]:
    """What of a build is not as its manifest says, one line each; empty if all is well.

    Args:
        folder: Of the build.
        frames: Whether each frame is read too.

    Raises:
        UserError: If there is no manifest, or it is none.
    """
    manifest = read_json(folder / MANIFEST, "a manifest")
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise UserError(f"{folder / MANIFEST}: expected an object with 'files'")
    hashes = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    wrong = [told for name, said in hashes.items() if (told := _differs(folder / name, said))]
    if frames and (folder / FRAMES).is_file():
        with (folder / FRAMES).open(encoding="utf-8") as file:
            for line in file:
                said, _, name = line.rstrip("\n").partition("  ")
                if told := _differs(folder / name, said):
                    wrong.append(told)
    return wrong


def _differs(path: Path, said: str) -> str:
    if not path.is_file():
        return f"{path}: is missing"
    return "" if file_hash(path) == said else f"{path}: is not the file that was written"
