"""Servers and judges behind the page Try it: well-behaved, slow and hostile ones; without a browser."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.ask.assessment import Assessor
from app.ask.models import LONGEST, PICTURES
from app.sources import Endpoint
from medgrpo.data.records import read_records
from medgrpo.errors import UserError
from medgrpo.rewards.judges import Judge, JudgeRequest, load_rubric
from medgrpo.tasks import TASKS
from medgrpo.types import Judgement, Sample
from tests.app.asking import OWN, answered, session_on, text_of
from tests.app.records_scene import ATTACK, make_records, row_of, sources_on, wait_for
from tests.app.test_html import Reader
from tests.services.chat_server import Answer, serve


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("ask"))


@pytest.fixture(scope="module")
def samples(scene: Path) -> list[Sample]:
    return read_records(scene / "world" / "train.json")


def test_a_server_gets_still_frames_with_their_times(scene: Path, samples: list[Sample]) -> None:
    row = row_of(scene / "world" / "train.json", "tal")
    with serve(lambda request: Answer(f"0.0-2.0 seconds. {ATTACK}", finish_reason="length")) as server:
        endpoint = Endpoint(server.base_url, "vlm")
        session = session_on(sources_on(scene, "train.json", endpoint=endpoint), scene)
        assert "still frames" in text_of(session.model_line())
        page = answered(session, replace(OWN, row=row, drawn=True, temperature=0.5, seed=7))
    request = server.requests[0]
    assert (request["temperature"], request["seed"], request["max_tokens"]) == (
        0.5,
        7,
        TASKS["tal"].max_new_tokens,
    )
    parts = request["messages"][0]["content"]
    assert parts[-1]["text"] == samples[row].question
    pictures = [part for part in parts if part["type"] == "image_url"]
    assert 0 < len(pictures) <= PICTURES
    assert parts[0]["text"] == "0.0 seconds:"
    assert pictures[0]["image_url"]["url"].startswith("data:image/png;base64,")
    read = Reader(page)
    assert page.count('class="segment true"') >= 1
    assert page.count('class="segment"') == 1
    assert "cut off" in text_of(page)
    assert not {"script", "img"} & set(read.tags)
    assert not [key for key, _ in read.attributes if key.startswith("on")]
    for word in ATTACK.split():
        assert word in text_of(page)


def test_a_server_that_fails_or_is_elsewhere_is_said(scene: Path) -> None:
    gone = sources_on(scene, "train.json", endpoint=Endpoint("http://127.0.0.1:9/v1", "vlm"))
    assert "could not be reached" in text_of(answered(session_on(gone, scene), OWN))
    with serve(lambda request: Answer("no such model", 404)) as server:
        refused = sources_on(scene, "train.json", endpoint=Endpoint(server.base_url, "vlm"))
        assert "refuses vlm" in text_of(answered(session_on(refused, scene), OWN))
    with pytest.raises(UserError, match="another machine"):
        Endpoint("https://api.example.org/v1", "vlm").client({})


def test_an_answer_without_end_is_cut(scene: Path) -> None:
    with serve(lambda request: "word " * 100_000) as server:
        sources = sources_on(scene, "train.json", endpoint=Endpoint(server.base_url, "vlm"))
        page = answered(session_on(sources, scene), OWN)
    assert "cut off" in text_of(page)
    assert LONGEST // 5 <= page.count("word") < 2 * LONGEST // 5


def test_a_slow_server_does_not_hold_up_who_stops_it(scene: Path) -> None:
    go = threading.Event()

    def slow(request: dict[str, Any]) -> str:
        go.wait(300)
        return "late"

    with serve(slow) as server:
        sources = sources_on(scene, "train.json", endpoint=Endpoint(server.base_url, "vlm"))
        session = session_on(sources, scene)
        key = session.ask(session.question(OWN))
        wait_for(lambda: bool(server.requests))
        session.stop(key)
        wait_for(lambda: session.look(key)[1] is not None)
        assert "stopped" in text_of(session.look(key)[1] or "")
        go.set()


class HostileJudge(Judge):
    """Says markup."""

    rubric = load_rubric("medgrpo-five@1")
    id = "hostile"

    def judge(self, requests: Any) -> list[Judgement]:
        names = [dimension.name for dimension in self.rubric.dimensions]
        assert all(isinstance(request, JudgeRequest) for request in requests)
        return [
            Judgement(ATTACK, "five@1", dict.fromkeys(names, 2.0), dict.fromkeys(names, ATTACK))
            for _ in requests
        ]


def test_judges_speak_on_five_dimensions_and_stay_text(scene: Path) -> None:
    row = row_of(scene / "world" / "train.json", "video_summary")
    with serve(lambda request: ATTACK) as server:
        sources = sources_on(
            scene, "train.json", endpoint=Endpoint(server.base_url, "vlm"), judge=HostileJudge()
        )
        page = answered(session_on(sources, scene), replace(OWN, row=row))
    words = text_of(page)
    assert words.count(ATTACK) >= 6  # five reasons and the judge's name
    assert "Average 2.00 of 5" in words
    assert "Similarity to the reference" in words
    assert not {"script", "img"} & set(Reader(page).tags)


def test_boxes_of_expert_and_answer_are_drawn(scene: Path) -> None:
    path = scene / "world" / "train.json"
    row = row_of(path, "stg")
    reference = read_records(path)[row].answer or ""
    with serve(lambda request: reference) as server:
        session = session_on(
            sources_on(scene, "train.json", endpoint=Endpoint(server.base_url, "vlm")), scene
        )
        page = answered(session, replace(OWN, row=row))
    assert page.count('class="box expert"') == page.count('class="box answer"') > 0
    assert "Overlap of the boxes: 1.00" in text_of(page)


def test_a_failed_judge_is_said(samples: list[Sample]) -> None:
    class Silent(HostileJudge):
        def judge(self, requests: Any) -> list[Judgement]:
            return [Judgement("m", "five@1", {}, {}, status="timeout") for _ in requests]

    summary = next(sample for sample in samples if sample.task == "video_summary")
    found = Assessor(Silent()).assess(summary, "The grasper holds tissue.", False)
    assert found.judgement is not None
    assert found.judgement.status == "timeout"
    assert 0.0 < found.score <= 1.0
