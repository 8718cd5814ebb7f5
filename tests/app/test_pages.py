"""What the pages say, without a browser."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from app.index import MEASURES, RolloutIndex
from app.show.words import component_words, task_words
from app.training.page import Dashboard
from medgrpo.rollout.store import RolloutStore
from medgrpo.tasks import TASKS
from medgrpo.types import Box, Clip, Region
from tests.app.scene import ATTACK, write_scene
from tests.app.test_html import Reader
from tests.rollout.rollouts import make_rollout, make_sample

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    folder = tmp_path_factory.mktemp("scene")
    write_scene(folder)
    return Dashboard(RolloutIndex(folder / "runs"), folder, folder / "media")


def text_of(markup: str) -> str:
    return " ".join("".join(text for _, text in Reader(markup).texts).split())


def test_the_overview_draws_every_measure(dashboard: Dashboard) -> None:
    for measure, found in MEASURES.items():
        page = dashboard.overview("demo", measure)
        assert Reader(page).tags.count("svg") == (4 if measure == "raw" else 3)  # a chart for each component
        assert found.help in text_of(page)
    assert "192 answers in 8 rounds" in text_of(dashboard.overview("demo", "reward"))


def test_a_summary_group_shows_answers_judge_and_decomposition(dashboard: Dashboard) -> None:
    page = dashboard.group("demo", "7", "summary-7")
    words = text_of(page)
    for k in range(1, 9):
        assert f"Answer {k}" in words
    assert words.count("Names the cystic artery as the reference does.") == 7
    assert "The judge's marks" in words
    assert "2.800" in words  # the frozen median
    read = Reader(page)
    assert read.tags.count("img") == 9  # the frames and nothing else
    assert all(
        value.startswith("data:image/jpeg;base64,")
        for key, value in read.attributes
        if key == "src" and value
    )
    assert not {"script", "iframe", "object"} & set(read.tags)
    assert not [key for key, _ in read.attributes if key.startswith("on")]
    assert ATTACK in words


def test_localisation_groups_draw_expert_and_answers(dashboard: Dashboard) -> None:
    tal = dashboard.group("demo", "7", "tal-7")
    assert tal.count('class="segment true"') == 2
    assert tal.count('class="segment"') == 7
    assert "nothing that could be read" in tal
    assert "format 1.00 × accuracy" in tal
    stg = dashboard.group("demo", "7", "stg-7")
    assert stg.count('class="box expert"') == 8 * 5
    assert stg.count('class="box answer"') == sum(5 - k % 3 for k in range(8))
    assert "4.0 s, no box" in stg


def test_missing_frames_and_groups_are_said(dashboard: Dashboard, tmp_path: Path) -> None:
    assert "Choose a group" in dashboard.group("demo", "", "")
    assert "no such group" in dashboard.group("demo", "7", "<b>")
    assert "Choose a group" in dashboard.group("demo", "../7", "summary-7")
    store = write_scene(tmp_path, rounds=1)
    for frame in (tmp_path / "frames").iterdir():
        frame.write_text("no picture")
    page = Dashboard(RolloutIndex(store.root), tmp_path, tmp_path / "media").group("demo", "0", "stg-0")
    assert "9 of these pictures cannot be read" in page
    assert "no picture" in page


def test_a_video_file_and_a_marked_region_are_pictured(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for k in range(4):
            picture = np.full((96, 160, 3), 60 * k, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    clip = Clip(video=Path("clip.mp4"), fps=2.0)
    of_video = replace(make_rollout(replace(make_sample(), clip=clip)), times=(0.0, 1.5), group_id="video")
    frames = write_scene(tmp_path, rounds=1).root.parent / "frames"
    marked = replace(
        make_sample("region_caption", frames=tuple(sorted(frames.iterdir()))),
        region=Region(frames / "004.jpg", Box(10, 20, 60, 80)),
    )
    store = RolloutStore(tmp_path / "runs", "more")
    store.write(0, [of_video, replace(make_rollout(marked), group_id="region", times=(0.0, 4.0))])
    dashboard = Dashboard(RolloutIndex(store.root), tmp_path, tmp_path / "media")
    page = dashboard.group("more", "0", "video")
    sources = [value for key, value in Reader(page).attributes if key == "src" and value]
    levels = []
    for source in sources:
        with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as image:
            levels.append(int(np.asarray(image).mean()))
    assert levels == pytest.approx([0, 180], abs=6)  # the first and the last frame
    page = dashboard.group("more", "0", "region")
    assert '<rect x="10.0" y="20.0" width="50.0" height="60.0" class="box expert">' in page
    assert "2.0 s, asked about" in page  # although the model was shown others


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    empty = Dashboard(RolloutIndex(tmp_path), tmp_path, tmp_path / "media")
    assert "No answers to look at yet" in empty.overview(None, "reward")
    assert "make demo" in empty.overview(None, "reward")
    assert empty.groups(None, "", "", "", "newest") == []
    bad = tmp_path / "rollouts" / "run=r" / "step=000000" / "rank=000-00.parquet"
    bad.parent.mkdir(parents=True)
    bad.write_text("foreign")
    empty.refresh()
    assert "One file could not be read" in text_of(empty.overview(None, "reward"))


def test_every_task_and_metric_has_plain_words() -> None:
    for name, task in TASKS.items():
        assert task_words(name)[0].isupper()
        assert "_" not in task_words(name)
        assert "_" not in component_words("some_part", task.metric or "")


def test_a_wrong_folder_is_one_line_and_status_two(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "--runs", str(tmp_path / "nowhere")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no such folder" in done.stderr


@pytest.mark.parametrize("package", ["gradio", "duckdb"])
def test_a_missing_package_names_the_extra(tmp_path: Path, package: str) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None; from app.__main__ import main; "
        f"sys.exit(main(['--runs', {str(tmp_path)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"error: {package} is not installed; install it with: pip install 'medgrpo[app]'\n"
