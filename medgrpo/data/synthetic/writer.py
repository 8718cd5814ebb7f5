"""Writes the world to disk: frames, records, optional video files.

The world is made next to its place and renamed when complete, so a folder with a ``world.json`` is whole.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from medgrpo.data.synthetic.videos import CLIPS_PER_VIDEO, SPLITS, ClipPlan, clip_rows, video_clips
from medgrpo.errors import UserError

__all__ = ["MP4_RATE", "WORLD_VERSION", "write_world"]

WORLD_VERSION = 2
"""Changes whenever the same seed gives another world."""
MP4_RATE = 8
"""Frames a second of the video files; the listed frames of every source are among them."""
JPEG_QUALITY = 90
X264 = {
    "crf": "18",
    "preset": "veryfast",
    # x264's look-ahead reads memory that it did not write, where a side is no multiple of 16: without it the
    # same frames give the same bytes. B-frames stay, for readers must get their order right.
    "x264-params": "threads=1:rc-lookahead=0:mbtree=0:scenecut=0:weightp=0:b-adapt=0:bframes=2",
}


def write_world(out: Path, *, videos: int, seed: int, mp4: int = 0, workers: int = 1) -> dict[str, Any]:
    """Make a world, or find that it is there already.

    Args:
        out: Folder to make.
        videos: Number of source videos; each has five clips.
        seed: Of everything.
        mp4: How many clips of the test split are written as H.264 files too.
        workers: Processes.

    Returns:
        The content of ``world.json``.

    Raises:
        UserError: If the folder holds something else.
    """
    asked = {"version": WORLD_VERSION, "seed": seed, "videos": videos, "mp4": mp4}
    found = _existing(out, asked)
    if found is not None:
        return found
    partial_out = out.with_name(out.name + ".partial")
    if partial_out.exists():
        shutil.rmtree(partial_out)
    partial_out.mkdir(parents=True)
    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    plans: list[ClipPlan] = []
    with _mapper(workers) as apply:
        results = apply(partial(_write_video, str(partial_out), seed), range(videos))
        progress = tqdm(results, total=videos, desc="synthetic world", unit="video")
        for index, made in enumerate(progress):
            clips = video_clips(index, seed)
            plans.extend(clips)
            rows[clips[0].split].extend(made)
        for split in SPLITS:
            _dump(rows[split], partial_out / f"{split}.json")
        if mp4:
            chosen = _spread([p for p in plans if p.split == "test"])[:mp4]
            (partial_out / "videos").mkdir()
            encoded = apply(partial(_write_mp4, str(partial_out)), chosen)
            made_mp4 = list(tqdm(encoded, total=len(chosen), desc="video files", unit="clip"))
            _dump([row for about_clip in made_mp4 for row in about_clip], partial_out / "test_mp4.json")
    world = asked | {
        "clips": videos * CLIPS_PER_VIDEO,
        "frames": len({path for split in SPLITS for row in rows[split] for path in row["video"]}),
        "rows": {split: len(rows[split]) for split in SPLITS},
        "pairs": {
            split: dict(sorted(Counter(f"{r['dataset_name']}/{r['qa_type']}" for r in rows[split]).items()))
            for split in SPLITS
        },
    }
    (partial_out / "world.json").write_text(json.dumps(world, indent=2) + "\n")
    if out.exists():
        out.rmdir()
    os.replace(partial_out, out)
    return world


def _existing(out: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The world that is already there, None if there is none; anything else is a mistake."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise UserError(f"{out}: is a file; give the folder to make")
    if not any(out.iterdir()):
        return None
    try:
        world = json.loads((out / "world.json").read_text())
    except (OSError, ValueError):
        raise UserError(f"{out}: is not empty and holds no synthetic world; give another folder") from None
    differing = [k for k, v in asked.items() if world.get(k) != v]
    if differing:
        there = ", ".join(f"{k} {world.get(k)} instead of {asked[k]}" for k in differing)
        raise UserError(f"{out}: holds another world ({there}); remove it or give another folder")
    return world


@contextmanager
def _mapper(workers: int) -> Iterator[Any]:
    """An ordered map over processes, or in this one; spawned, as a fork would lose the caller's threads."""
    if workers <= 1:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield pool.imap


def _write_video(root: str, seed: int, index: int) -> list[dict[str, Any]]:
    """Draw the clips of a source video; their rows."""
    rows: list[dict[str, Any]] = []
    for plan in video_clips(index, seed):
        scene = plan.scene()
        folder = Path(root) / plan.folder(scene)
        folder.mkdir(parents=True)
        for frame_id, time in zip(plan.frame_ids(scene), scene.times, strict=True):
            image = Image.fromarray(scene.render(float(time)))
            image.save(folder / f"{frame_id:06d}.jpg", quality=JPEG_QUALITY)
        rows.extend(clip_rows(plan, scene))
    return rows


def _spread(plans: list[ClipPlan]) -> list[ClipPlan]:
    """Clips with the sources taking turns."""
    return sorted(plans, key=lambda p: (p.number, p.part))


def _write_mp4(root: str, plan: ClipPlan) -> list[dict[str, Any]]:
    """Encode a clip; its rows, without region captions, whose box belongs to a listed frame."""
    import av

    scene = plan.scene()
    start, end = plan.extent(scene)
    name = f"videos/{plan.source}_{plan.video_id}_{start}_{end}.mp4"
    with av.open(str(Path(root) / name), "w") as container:
        stream = container.add_stream("libx264", rate=MP4_RATE)
        stream.width, stream.height, stream.pix_fmt = plan.spec.width, plan.spec.height, "yuv420p"
        stream.options = X264
        for k in range(scene.duration * MP4_RATE):
            frame = av.VideoFrame.from_ndarray(scene.render(k / MP4_RATE), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    rows: list[dict[str, Any]] = []
    for row in clip_rows(plan, scene):
        if not row["is_RC"]:
            del row["sampled_video_frames"]
            # The file holds the clip alone, from its first second to its last.
            extent = {"input_video_start_time": "0.0", "input_video_end_time": str(float(scene.duration))}
            metadata = {"fps": row["metadata"]["fps"], "video_id": plan.video_id} | extent
            rows.append(row | {"video": name, "metadata": metadata})
    return rows


def _dump(rows: list[dict[str, Any]], path: Path) -> None:
    """A JSON array with one row a line."""
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
