"""The words that all parts of medgrpo share: frozen, validated, in seconds and pixels.

Times are seconds from the start of the clip. Boxes are corner pairs in pixels of a named canvas, with the
origin at the top left. A score that could not be had is NaN with a status, never a number in its place.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "Box",
    "Canvas",
    "Clip",
    "Completion",
    "ComponentScore",
    "Judgement",
    "PairKey",
    "Region",
    "Reward",
    "Rollout",
    "Sample",
    "Segment",
    "sample_key",
]

PairKey = tuple[str, str]
"""A (dataset, task) pair, e.g. ``("CoPESD", "stg")``: the unit of statistics and normalisation."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of clip time. A zero-length segment is legal: the benchmark holds some.

    Attributes:
        start: Seconds from the start of the clip.
        end: Seconds from the start of the clip, at least ``start``.
        caption: What happens in the segment, if the task describes it.
    """

    start: float
    end: float
    caption: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ValueError(f"a segment needs finite times, got {self.start}-{self.end}")
        if self.end < self.start:
            raise ValueError(f"a segment must not end before it starts, got {self.start}-{self.end}")

    @property
    def length(self) -> float:
        """Duration in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box as corners ``(x1, y1)``-``(x2, y2)``, pixels of some canvas."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self.xyxy):
            raise ValueError(f"a box needs finite corners, got {self.xyxy}")
        if self.x2 < self.x1 or self.y2 < self.y1:
            raise ValueError(f"a box needs x1 <= x2 and y1 <= y2, got {self.xyxy}")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """The four corners in the benchmark's order."""
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def area(self) -> float:
        """Square pixels."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def scaled(self, sx: float, sy: float) -> Box:
        """The same box on a canvas ``sx`` times as wide and ``sy`` times as high."""
        return Box(self.x1 * sx, self.y1 * sy, self.x2 * sx, self.y2 * sy)

    def moved(self, dx: float, dy: float) -> Box:
        """The same box ``dx`` pixels further right and ``dy`` further down."""
        return Box(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)


@dataclass(frozen=True, slots=True)
class Canvas:
    """The pixel grid that boxes refer to; it need not be the size of the stored frames."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a canvas needs a positive size, got {self.width}x{self.height}")


@dataclass(frozen=True, slots=True)
class Clip:
    """Where a clip's frames are, and when each of them was.

    Exactly one of ``frames`` and ``video`` is given: MedVidBench ships lists of JPEG frames, users also
    have video files.

    Attributes:
        frames: Frame files in display order; may repeat.
        video: A video file.
        fps: Rate of the frame list in frames a second (``metadata.fps``); for a video file the rate at
            which the clip's answers were written, informational.
        times: Seconds from the start of the clip, one for each entry of ``frames``; empty for a video file.
        start: Seconds into the video file where the clip starts.
        end: Seconds into the video file where the clip ends; None is the end of the file.
    """

    frames: tuple[Path, ...] = ()
    video: Path | None = None
    fps: float = 1.0
    times: tuple[float, ...] = ()
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if bool(self.frames) == (self.video is not None):
            raise ValueError("a clip is either a list of frames or a video file")
        if len(self.times) != len(self.frames):
            raise ValueError(f"{len(self.frames)} frames but {len(self.times)} timestamps")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be positive, got {self.fps}")


@dataclass(frozen=True, slots=True)
class Region:
    """The box that a region-caption question asks about; it is drawn on one frame, not told in the text.

    Attributes:
        frame: The frame file on which the box is drawn (``RC_info.start_frame``).
        box: Pixels of the sample's canvas (of the stored frame, where the sample has none).
    """

    frame: Path
    box: Box


@dataclass(frozen=True, slots=True)
class Sample:
    """One question about one clip: a row of a records file.

    Attributes:
        key: ``sample_key(id, task, question)``; ids alone are not unique in MedVidBench.
        id: The row's ``id`` field.
        row: Index in the records file, which submissions must keep.
        qa_type: The benchmark's own spelling, e.g. ``dense_captioning_gpt``.
        task: The canonical task, e.g. ``dense_captioning``.
        dataset: Source dataset, e.g. ``CoPESD``.
        video_id: Source video, the unit of splits and of bootstrap clusters.
        question: The human turn without the ``<video>`` marker.
        answer: The reference answer; None in the test split.
        truth: ``struc_info`` as loaded from JSON; None in the test split.
        clip: The frames.
        region: For region captions only.
        canvas: What boxes in question and answer refer to; None means the stored frame's own size.
        metadata: The row's ``metadata`` as it is, all values strings.
    """

    key: str
    id: str
    row: int
    qa_type: str
    task: str
    dataset: str
    video_id: str
    question: str
    answer: str | None
    truth: Any
    clip: Clip
    region: Region | None = None
    canvas: Canvas | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def pair(self) -> PairKey:
        """The (dataset, task) pair."""
        return (self.dataset, self.task)


def sample_key(row_id: str, task: str, question: str) -> str:
    """The identity of a row: id + task + hash of the question.

    In the 6,245 test rows 2,270 ids collide; with the task and the question only byte-identical
    duplicates do.
    """
    digest = hashlib.sha256(question.strip().encode()).hexdigest()[:16]
    return f"{row_id}|{task}|{digest}"


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer.

    Attributes:
        text: Decoded without special tokens.
        token_ids: Sampled ids, the end-of-sequence id included when it was sampled.
        logps: Log-probability of each id under the engine at its sampling temperature, same length.
        finish_reason: ``stop`` (an end token) or ``length``.
    """

    text: str
    token_ids: tuple[int, ...]
    logps: tuple[float, ...]
    finish_reason: str

    def __post_init__(self) -> None:
        if len(self.token_ids) != len(self.logps):
            raise ValueError(f"{len(self.token_ids)} tokens but {len(self.logps)} log-probabilities")

    @property
    def truncated(self) -> bool:
        """Whether the answer ran into the token limit."""
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge said about one answer, against its reference.

    Attributes:
        model: Judge id as returned by the server, or the name of a local judge.
        rubric: Rubric id and version, e.g. ``medgrpo-five@1``.
        prompt_hash: sha256 prefix of the prompt template; empty for judges without a prompt.
        scores: Dimension to 1..5; empty when the judgement failed.
        rationales: Dimension to one sentence of reason.
        status: ``ok``, ``gated`` or a failure (``timeout``, ``http``, ``schema``, ``refused``, ``budget``).
        latency_s: Seconds.
        prompt_tokens: Tokens sent.
        completion_tokens: Tokens received.
        cost: In the currency of the price table; 0 for local judges.
        cached: Whether it came from the cache.
    """

    model: str
    rubric: str
    scores: Mapping[str, float]
    rationales: Mapping[str, str]
    status: str = "ok"
    prompt_hash: str = ""
    latency_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    cached: bool = False

    @property
    def mean(self) -> float:
        """Mean over dimensions, NaN for a failed judgement."""
        return math.fsum(self.scores.values()) / len(self.scores) if self.scores else math.nan


@dataclass(frozen=True, slots=True)
class ComponentScore:
    """One reward component of one answer, from the raw metric to what enters the mix.

    Attributes:
        raw: The metric in its own unit; NaN if it failed.
        normalised: What enters the mix, after the normalizer; NaN if it failed.
        weight: Share in the mix.
        metric: Versioned name of the metric, e.g. ``stg_viou@1``.
        normalizer: Name of the normalizer, ``identity`` for none.
        p25: First quartile used; None when the normalizer uses none. So for p50 and p75.
        p50: Median used.
        p75: Third quartile used.
        k: Slope used.
        status: ``ok`` or why it failed.
        factors: The parts of a multiplicative composite, e.g. ``{"format": 1.0, "accuracy": 0.62}``.
    """

    raw: float
    normalised: float
    weight: float
    metric: str
    normalizer: str = "identity"
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    k: float | None = None
    status: str = "ok"
    factors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one answer and everything it was made of.

    Attributes:
        value: The mixed reward; NaN when a component failed, which takes the whole group out.
        components: By component name.
        parse_status: ``ok``, ``repaired`` or ``failed``; ``free_text`` for tasks without a structure.
        parsed: The structure found in the answer, ready for JSON; None if there is none.
        judgement: What the judge said, if one was asked.
    """

    value: float
    components: Mapping[str, ComponentScore]
    parse_status: str
    parsed: Any = None
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One answer of a group with all of its numbers: a row of the rollout store.

    Attributes:
        sample: The question.
        group_id: The same for the G answers of one prompt in one step.
        index: 0..G-1 in the group.
        prompt_text: The prompt after the chat template.
        prompt_ids: Its token ids, video tokens included.
        times: Seconds from the clip's start of each frame that the model saw (padding frames repeat).
        told_times: When the model was told that they were.
        completion: The answer.
        reward: Its reward.
        group_mean: Mean reward of the group.
        group_std: Unbiased standard deviation of the group.
        advantage: What the loss multiplies; 0 for a skipped group.
        kept: Whether the answer takes part in the loss.
        skip_reason: ``zero_variance``, ``refilled`` (so too, and another prompt took its place),
            ``failed_reward`` or empty.
    """

    sample: Sample
    group_id: str
    index: int
    prompt_text: str
    prompt_ids: tuple[int, ...]
    times: tuple[float, ...]
    told_times: tuple[float, ...]
    completion: Completion
    reward: Reward
    group_mean: float
    group_std: float
    advantage: float
    kept: bool = True
    skip_reason: str = ""
