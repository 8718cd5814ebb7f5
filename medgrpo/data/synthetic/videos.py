"""The source videos of the world: their names, their split, their clips, and the rows of each clip."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from medgrpo.data.synthetic.questions import Question, ask
from medgrpo.data.synthetic.scenes import Scene, sample_scene
from medgrpo.data.synthetic.sources import SOURCES, SourceSpec

__all__ = ["CLIPS_PER_VIDEO", "SPLITS", "ClipPlan", "clip_rows", "split_of", "video_clips"]

CLIPS_PER_VIDEO = 5
SPLITS = ("train", "rl", "val", "test")
_CYCLE = tuple(
    {"t": "train", "e": "test", "r": "rl", "v": "val"}[letter] for letter in "tervtttettrttttetttt"
)
"""Split of the n-th video of a source, again and again: it depends on nothing but n, so a larger world keeps
every video where it was, and every source has all four splits from its fourth video on."""
_QUESTIONS = {"train": 2, "rl": 2, "val": 1, "test": 2}
"""Questions of each task about one clip. Two in the test split give every pair at least 200 rows."""
_SECONDS_BETWEEN_CLIPS = 140


@dataclass(frozen=True)
class ClipPlan:
    """One clip of one source video.

    Attributes:
        source: A key of ``SOURCES``.
        number: Of the video within its source, from 0.
        part: Of the clip within its video, from 0.
        video_id: As the source writes it.
        split: One of :data:`SPLITS`.
        seed: Of scene and questions.
    """

    source: str
    number: int
    part: int
    video_id: str
    split: str
    seed: int

    @property
    def spec(self) -> SourceSpec:
        """The clip's source."""
        return SOURCES[self.source]

    @property
    def offset(self) -> int:
        """Seconds into the source video at which the clip starts."""
        return 20 + self.part * _SECONDS_BETWEEN_CLIPS

    def scene(self) -> Scene:
        """The clip's scene."""
        return sample_scene(self.source, self.seed)

    def frame_ids(self, scene: Scene) -> list[int]:
        """Source frame ids of the listed frames."""
        stride = round(self.spec.base_rate / self.spec.fps)
        first = self.offset * self.spec.base_rate
        return [first + k * stride for k in range(len(scene.times))]

    def extent(self, scene: Scene) -> tuple[str, str]:
        """Start and end as the source's metadata write them: seconds, or frame ids with the last included."""
        if self.spec.extent == "time":
            return str(float(self.offset)), str(float(self.offset + scene.duration))
        first = self.offset * self.spec.base_rate
        return str(first), str(first + scene.duration * self.spec.base_rate - 1)

    def folder(self, scene: Scene) -> str:
        """Of the frames, relative to the root of the world."""
        start, end = self.extent(scene)
        return f"frames/{self.spec.container}/{self.video_id}/{start}_{end}"


def split_of(number: int) -> str:
    """The split of the n-th video of a source."""
    return _CYCLE[number % len(_CYCLE)]


def video_clips(index: int, seed: int) -> list[ClipPlan]:
    """The clips of the source video with a running number; sources take turns."""
    names = tuple(SOURCES)
    source, number = names[index % len(names)], index // len(names)
    plans = []
    for part in range(CLIPS_PER_VIDEO):
        entropy = [seed, zlib.crc32(source.encode()), number, part]
        plans.append(
            ClipPlan(
                source=source,
                number=number,
                part=part,
                video_id=_video_id(source, number, part, seed),
                split=split_of(number),
                seed=int(np.random.SeedSequence(entropy).generate_state(1)[0]),
            )
        )
    return plans


def _video_id(source: str, number: int, part: int, seed: int) -> str:
    """A name in the style of the source. The two Cholec sources never share a number: real ones do."""
    if source == "CoPESD":
        return f"{number + 1:02d}_part{part + 1}"
    if source == "EgoSurgery":
        return f"{number + 1:02d}_{part + 1}"
    if source == "CholecTrack20":
        return f"VID{2 * number + 1:02d}"
    if source == "Cholec80_CVS":
        return f"video{2 * number + 2:02d}"
    if source == "JIGSAWS":
        exercise = ("Suturing", "Knot_Tying", "Needle_Passing")[number % 3]
        return f"{exercise}_{'BCDEFGHI'[number % 8]}{number + 1:03d}"
    digest = hashlib.sha256(f"{source}/{seed}/{number}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:11]


def clip_rows(plan: ClipPlan, scene: Scene) -> Iterator[dict[str, Any]]:
    """All rows about a clip, in a fixed order, without a repeated question."""
    generator = np.random.default_rng([plan.seed, 11])
    seen: set[tuple[str, str]] = set()
    for task in plan.spec.tasks:
        count = _QUESTIONS[plan.split]
        # A single question comes from the source's second writer in three of ten cases.
        variants = range(count) if count > 1 else (int(generator.random() < 0.3),)
        for variant in variants:
            question = ask(scene, task, variant, generator)
            if question is not None and (task, question.text) not in seen:
                seen.add((task, question.text))
                yield _row(plan, scene, question)


def _row(plan: ClipPlan, scene: Scene, question: Question) -> dict[str, Any]:
    """A row in the benchmark's schema; all metadata values are strings."""
    spec = plan.spec
    start, end = plan.extent(scene)
    prefix = "" if spec.extent == "frame" else "input_video_"
    unit = "time" if spec.extent == "time" else "frame"
    ids = plan.frame_ids(scene)
    video = [f"{plan.folder(scene)}/{i:06d}.jpg" for i in ids]
    region = None
    if question.region_time is not None and question.region_box is not None:
        shown = round(question.region_time * spec.fps)
        region = {"start_frame": video[shown], "start_frame_bbox": list(question.region_box)}
    return {
        "id": f"{plan.video_id}&&{start}&&{end}&&{spec.fps}",
        "qa_type": question.qa_type,
        "conversations": [
            {"from": "human", "value": f"<video>\n{question.text}"},
            {"from": "gpt", "value": question.answer},
        ],
        "video": video,
        "sampled_video_frames": ids,
        "metadata": {
            "fps": str(spec.fps),
            "video_id": plan.video_id,
            f"{prefix}start_{unit}": start,
            f"{prefix}end_{unit}": end,
        },
        "data_source": spec.name,
        "dataset_name": spec.name,
        "struc_info": question.truth,
        "is_RC": region is not None,
        "RC_info": region,
    }
