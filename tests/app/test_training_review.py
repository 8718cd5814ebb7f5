"""Finding groups, and what the page of a group says."""

from __future__ import annotations

import base64
import io
import math
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from app.index import ORDERS, RolloutIndex, SearchState
from app.training.answers_tab import _ORDERS as ORDER_CHOICES
from app.training.judging import disagreement, second_opinions
from app.training.listing import search_words
from app.training.review import STATUSES, Review, filter_of
from app.training.steps import reward_steps, standing
from medgrpo.errors import UserError
from medgrpo.rewards.penalties import PENALTY
from medgrpo.rollout.rejudgements import write_rejudgements
from medgrpo.rollout.schema import rollout_row
from medgrpo.rollout.store import RolloutStore, read_rollouts
from medgrpo.types import Box, Clip, ComponentScore, Judgement, Region
from tests.app.scene import ATTACK, write_scene
from tests.app.test_html import Reader
from tests.app.test_pages import text_of
from tests.rollout.rollouts import make_rollout, make_sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("scene")
    write_scene(made)
    return made


@pytest.fixture(scope="module")
def review(folder: Path) -> Review:
    return look_at(folder)


def look_at(folder: Path) -> Review:
    index = RolloutIndex(folder / "runs")
    index.refresh()
    return Review(index, folder, folder / "media")


def test_a_summary_group_shows_answers_judge_and_steps(review: Review) -> None:
    page = review.group("demo", "7", "summary-7")
    words = text_of(page)
    for k in range(1, 9):
        assert f"Answer {k}" in words
    assert words.count("Names the cystic artery as the reference does.") == 7
    assert "The judge's marks" in words
    assert "2.800" in words  # the frozen median
    assert page.count('class="radar"') == 8
    assert 'aria-label="Marks of the judge: Terminology 1 of 5, Identification 2 of 5' in page
    assert "lexicon, rubric medgrpo-five@1; took 0.01 s; no cost" in words
    read = Reader(page)
    assert read.tags.count("img") == 9  # the frames and nothing else
    assert not {"script", "iframe", "object"} & set(read.tags)
    assert not [key for key, _ in read.attributes if key.startswith("on")]
    assert ATTACK in words


def test_boxes_are_drawn_for_each_answer(review: Review) -> None:
    page = review.group("demo", "7", "stg-7")
    assert page.count('class="box expert"') == 8 * 5
    assert page.count('class="box answer"') == sum(5 - k % 3 for k in range(8))
    assert "4.0 s, no box" in page
    assert "format 1.00 × accuracy" in review.group("demo", "7", "tal-7")


def test_what_cannot_be_shown_is_said(review: Review, tmp_path: Path) -> None:
    assert "Choose a group" in review.group("demo", "", "")
    assert "no such group" in review.group("demo", "7", "<b>")
    assert "Choose a group" in review.group("demo", "../7", "summary-7")
    write_scene(tmp_path, rounds=1)
    for frame in (tmp_path / "frames").iterdir():
        frame.write_text("no picture")
    page = look_at(tmp_path).group("demo", "0", "stg-0")
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
    review = look_at(tmp_path)
    sources = [value for key, value in Reader(review.group("more", "0", "video")).attributes if key == "src"]
    levels = []
    for source in sources:
        with Image.open(io.BytesIO(base64.b64decode(str(source).split(",")[1]))) as image:
            levels.append(int(np.asarray(image).mean()))
    assert levels == pytest.approx([0, 180], abs=6)  # the first and the last frame
    page = review.group("more", "0", "region")
    assert '<rect x="10.0" y="20.0" width="50.0" height="60.0" class="box expert">' in page
    assert "2.0 s, asked about" in page  # although the model was shown others


def row_of(*components: tuple[str, ComponentScore], value: float = 0.5) -> dict[str, object]:
    rollout = make_rollout(make_sample(), value=value, components=dict(components))
    return rollout_row(rollout, run="r", attempt=0, step=0, rank=0, policy_hash="", wall_time_us=0)


def score(raw: float, value: float, weight: float, **keywords: object) -> ComponentScore:
    known = {"metric": "m@1", "normalizer": "logistic", "p25": 0.2, "p50": 0.4, "p75": 0.6, "k": 3.0}
    return ComponentScore(raw, value, weight, **{**known, **keywords})  # type: ignore[arg-type]


def test_the_steps_of_a_reward() -> None:
    penalty = score(-1.0, -1.0, 0.1, normalizer=PENALTY, p25=None, p50=None, p75=None)
    failed = score(math.nan, math.nan, 0.0, status="timeout")
    row = row_of(
        ("similarity", score(0.7, 0.8, 0.5)), ("judge", score(0.3, 0.4, 0.5)), ("other", failed),
        ("repetition", penalty), value=0.5,
    )  # fmt: skip
    words = text_of(reward_steps(row))
    assert "Similarity to the reference" in words
    assert "Before training (0.20 · 0.40 · 0.60): in the top quarter" in words
    assert "Weight: × 0.50 gives 0.400" in words
    assert "in the middle half, below typical" in words
    assert "could not be measured (timeout)" in words
    assert "a rule takes −0.100" in words
    assert "Reward = 0.400 + 0.200 − 0.100 = 0.500" in words
    assert "Advantage: its group has 0.500 on average and differs by 0.100, which makes −1.000" in words
    assert standing({"raw": 0.1, "p25": 0.2, "p50": 0.4, "p75": 0.6}) == "in the low quarter"
    assert standing({"raw": 0.1, "p25": None, "p50": None, "p75": None}) is None


def test_a_strong_disagreement_is_flagged(review: Review) -> None:
    def gap(judge: ComponentScore, similarity: ComponentScore) -> float | None:
        return disagreement(row_of(("judge", judge), ("similarity", similarity)))

    assert gap(score(4, 0.9, 0.5), score(0.2, 0.2, 0.5)) == pytest.approx(0.7)
    assert gap(score(4, 3.5, 0.5), score(0.2, 0.2, 0.5)) is None  # not on the common scale
    assert gap(score(math.nan, math.nan, 0.0, status="timeout"), score(0.2, 0.2, 1.0)) is None
    assert "They disagree" not in review.group("demo", "7", "summary-7")


def test_second_opinions_stand_beside_the_stored_ones(tmp_path: Path) -> None:
    store = write_scene(tmp_path, rounds=2)
    rows = read_rollouts(store.root, "demo", 1).to_pylist()
    marks = {"terminology": 5.0, "action": 2.0}
    reasons = dict.fromkeys(marks, f"second thoughts {ATTACK}")
    write_rejudgements(
        store.root, "careful", "five@2", rows, [Judgement("careful", "five@2", marks, reasons)] * len(rows)
    )
    page = look_at(tmp_path).group("demo", "1", "summary-1")
    words = text_of(page)
    assert words.count("Marked again by 1 other judge") == 8
    assert words.count("carefulfive@23.50") == 8
    assert "script" not in Reader(page).tags
    assert "Marked again" not in look_at(tmp_path).group("demo", "0", "summary-0")
    damaged = next((store.root / "rejudgements").rglob("*.parquet"))
    damaged.write_bytes(b"none")
    assert "A second opinion is missing" in look_at(tmp_path).group("demo", "1", "summary-1")
    assert second_opinions(store.root, "demo", rows[0])[0] == []


def test_filters_of_fields_and_links() -> None:
    found = filter_of("r", "AVOS", "", "3", "0.25", "", "failed", "  artery ")
    assert (found.step, found.dataset, found.task, found.reward_from, found.reward_to) == (
        3,
        "AVOS",
        None,
        0.25,
        None,
    )
    assert (found.parse_status, found.text) == ("failed", "artery")
    for wrong, named in (
        ({"step": "2.5"}, "Round"), ({"step": -1.0}, "Round"), ({"low": "much"}, "Reward from"),
        ({"high": math.inf}, "Reward to"), ({"low": 1.0, "high": 0.0}, "nothing can pass"),
        ({"status": "x"}, "Readability"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=named):
            filter_of("r", **wrong)  # type: ignore[arg-type]
    assert filter_of("r", text=None) == filter_of("r")  # as long as a large page is being filled in
    assert {order for _, order in ORDER_CHOICES} == set(ORDERS)
    assert len(STATUSES) == 4


def test_pages_of_the_list_and_their_neighbours(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path / "runs", "r")
    store.write(0, [make_rollout(make_sample(), group_id=f"g{k:03d}") for k in range(120)])
    review, chosen = look_at(tmp_path), filter_of("r")
    first = review.listing(chosen, "oldest", 0, 50)
    assert (first.words, len(first.keys)) == ("Groups 1 to 50 of 120", 50)
    last = review.listing(chosen, "oldest", 100, 50)
    assert last.words == "Groups 101 to 120 of 120"
    assert review.listing(chosen, "oldest", 5000, 50).words == last.words  # the list has become shorter
    assert review.listing(chosen, "<b>", 0, 7).words == first.words

    def beside(at: tuple[int, str], by: int, offset: int = 0) -> object:
        keys = review.listing(chosen, "oldest", offset, 50).keys
        return review.neighbour(chosen, "oldest", 50, offset, keys, at, by)

    assert beside((0, "g010"), 1) == ((0, "g011"), 0)
    assert beside((0, "g049"), 1) == ((0, "g050"), 50)
    assert beside((0, "g050"), -1, 50) == ((0, "g049"), 0)
    assert beside((0, "g000"), -1) is None
    assert beside((0, "g119"), 1, 100) is None
    assert beside((9, "elsewhere"), 1) == ((0, "g000"), 0)


def test_a_search_says_when_it_is_not_complete(folder: Path, tmp_path: Path) -> None:
    review, words = look_at(folder), filter_of("demo", text="cystic")
    assert "Not all texts can be searched" in review.listing(words, "newest", 0, 50).page
    review.index.keep_in(tmp_path)
    review.index.work_in_background()
    until = time.monotonic() + 60
    while review.index.search_state().waiting and time.monotonic() < until:
        time.sleep(0.05)
    found = review.listing(words, "newest", 0, 50)
    review.index.close()
    assert found.total == 8
    assert "searched" not in found.page
    assert "still being read" in search_words(SearchState(1, ""))


def test_an_empty_list_says_why(review: Review, tmp_path: Path) -> None:
    assert (
        "No group passes these filters"
        in review.listing(filter_of("demo", dataset="none"), "newest", 0, 50).page
    )
    (tmp_path / "runs").mkdir()
    assert "no run to look at" in look_at(tmp_path).listing(filter_of(None), "newest", 0, 50).page
    assert "script" not in Reader(review.listing(filter_of("demo"), "newest", 0, 50).page).tags
