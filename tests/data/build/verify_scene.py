"""Clips with drafts and texts, made by hand, for the tests of verification and output."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medgrpo.data.build.items import BuildClip, ClipPictures, Draft, Picture, WrittenText
from medgrpo.data.build.records import record as make_row
from medgrpo.data.build.verify.candidates import ClipCandidates, ClipFacts
from medgrpo.data.splits import canonical_video_id
from medgrpo.tasks import get_task
from medgrpo.types import Box, Segment

__all__ = ["WordEncoder", "candidate", "clip_of", "corpus", "draft_of", "make_row", "pictures_of", "texts_of"]

SUMMARY = "The grasper lifts the gallbladder while the hook frees it from the liver bed in small steps"
OTHER = "While a grasper lifts the gallbladder, the hook slowly frees it from the bed of the liver"
FACTS = ClipFacts(
    {"instrument": ("grasper", "hook"), "phase": ("gallbladder-dissection",)},
    events=("gallbladder-dissection",),
    steps=("preparation", "gallbladder-dissection", "gallbladder-packaging"),
)


class WordEncoder:
    """Embeds a text by its words: quick, and alike texts are alike."""

    id = "words-64"

    def encode(self, texts: list[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, hashlib.sha256(word.encode()).digest()[0] % 64] += 1.0
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def clip_of(source: str = "CholecT50", video: str = "VID01", start: float = 0.0) -> BuildClip:
    """A clip of 40 seconds with four frames."""
    frames = 4
    times = tuple(10.0 * k for k in range(frames))
    ids = tuple(round(start + time) for time in times)
    canonical = canonical_video_id(video, source)
    return BuildClip(source, video, canonical, start, start + 10.0 * frames, 0.1, times, ids, ids[0] + 39)


def draft_of(clip: BuildClip, task: str, number: int = 0, **fields: Any) -> Draft:
    level = {"stg": "frame", "tal": "segment", "region_caption": "segment", "dense_captioning": "segment"}
    key = f"{clip.source}/{clip.video_id}/{clip.start:g}/{task}/{number}"
    question = fields.pop("question", f"You are an expert in surgery. Question {number} of {task}?")
    return Draft(key, task, level.get(task, "video"), clip, question, **fields)


def texts_of(
    gpt: str, gemini: str, captions: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, WrittenText]:
    return {
        name: WrittenText(name, f"{name}-model", "ok", text, (captions or {}).get(name, ()))
        for name, text in (("gpt", gpt), ("gemini", gemini))
    }


def candidate(
    draft: Draft,
    texts: Mapping[str, WrittenText] | None = None,
    facts: ClipFacts = FACTS,
    pictures: ClipPictures | None = None,
) -> ClipCandidates:
    pictures = pictures or ClipPictures((), 854, 480)
    return ClipCandidates(draft.clip, pictures, facts, (draft,), {draft.key: texts} if texts else {})


def pictures_of(clip: BuildClip, root: Path | None = None) -> ClipPictures:
    """Frames of one colour, written below a folder if there is one."""
    found = []
    for time, number in zip(clip.times, clip.frame_ids, strict=True):
        name = f"frames/{clip.source}/{clip.video_id}/{number:06d}.jpg"
        digest = hashlib.sha256(name.encode())
        if root is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 36), tuple(digest.digest()[:3])).save(path, quality=95)
            digest = hashlib.sha256(path.read_bytes())
        found.append(Picture(name, time, number, digest.hexdigest()))
    return ClipPictures(tuple(found), 64, 36)


def corpus(root: Path | None = None, videos: int = 20, clips: int = 2) -> Iterator[ClipCandidates]:
    """Clips of three sources, two of which share videos, with every kind of question; all of it is right."""
    for source in ("CholecT50", "CholecTrack20", "EgoSurgery"):
        for video in range(1, videos + 1):
            name = f"{video:02d}_1" if source == "EgoSurgery" else f"VID{video:02d}"
            for part in range(clips):
                yield _clip(clip_of(source, name, 100.0 * part), root)


def _clip(clip: BuildClip, root: Path | None) -> ClipCandidates:
    named = f"{clip.canonical_id.replace(':', ' ')} {clip.source} at {clip.start:g}"
    summary = draft_of(clip, "video_summary")
    place = {"region_time": 0.0, "region_end": 10.0, "region_box": Box(4, 4, 20, 20), "region_label": "hook"}
    region = draft_of(clip, "region_caption", **place)
    spans = ((0.0, 10.0), (12.0, 30.0))
    dense = draft_of(clip, "dense_captioning", events=tuple(Segment(a, b, "lift") for a, b in spans))
    told = (f"a grasper lifts the gallbladder of {named}", f"the hook frees the gallbladder of {named}")
    said = (f"the gallbladder of {named} is lifted", f"the gallbladder of {named} is freed by the hook")

    def lines(captions: tuple[str, ...]) -> str:
        timed = zip(spans, captions, strict=True)
        return get_task("dense_captioning").write(
            [{"start": start, "end": end, "caption": caption} for (start, end), caption in timed]
        )

    texts = {
        summary.key: texts_of(f"{SUMMARY} in {named}.", f"{OTHER} in {named}."),
        region.key: texts_of(f"It frees the tissue of {named}.", f"It dissects the tissue of {named}."),
        dense.key: texts_of(lines(told), lines(said), {"gpt": told, "gemini": said}),
    }
    truth = [{"spans": [{"start": 0.0, "end": 10.0}]}]
    structured = (
        draft_of(clip, "tal", answer="0.0-10.0 seconds.", truth=truth),
        draft_of(
            clip,
            "next_action",
            question="Which step comes next? Possible steps: preparation, gallbladder-packaging.",
            answer="gallbladder-packaging",
        ),
        draft_of(clip, "stg", answer="0.0 seconds: [4.0, 4.0, 20.0, 20.0]",
                 truth=[{"bbox_dict": {"0.0": [4.0, 4.0, 20.0, 20.0]}}]),
    )  # fmt: skip
    test = clip.source == "CholecTrack20" and int(clip.video_id[-2:]) % 5 == 0
    facts = ClipFacts(FACTS.present, FACTS.events, (), FACTS.steps, "", "test" if test else None)
    return ClipCandidates(clip, pictures_of(clip, root), facts, (summary, region, dense, *structured), texts)
