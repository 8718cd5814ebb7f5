"""Texts of whole videos: in order, once, so many under way, and what failed again in the next run."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medgrpo.data.build import writing
from medgrpo.data.build.engines import LocalEngine
from medgrpo.data.build.items import Draft, WrittenText
from medgrpo.data.build.prepare import Prepared, PreparedClip, Result, prepared_results
from medgrpo.data.build.prompting import PromptPolicy
from medgrpo.data.build.writer_pictures import WriterPicturePolicy
from medgrpo.data.build.writers import ChatWriter, TextRequest
from medgrpo.data.build.writing import Prompting, Texts, Writing, WritingTotals, writer_facts
from medgrpo.data.sources.annotations import Reading
from medgrpo.errors import UserError
from medgrpo.types import Segment
from tests.data.build.caption_server import answer_of, writers
from tests.data.build.source_scene import clip_of, frames_of, pictures_for
from tests.services.chat_server import Answer, ChatServer, serve


def prepare(work: Path, out: Path, number: int, flags: tuple[str, ...] = ()) -> Result:
    """A prepared video with a summary and dense captions to write, and one answered question."""
    video = frames_of([float(k) for k in range(20)], video_id=f"V{number}")
    clip = clip_of(video, 0, 20)
    pictures = pictures_for(clip, 32, 18)
    pictures = replace(pictures, pictures=tuple(replace(one, flags=flags) for one in pictures.pictures))
    for picture in pictures.pictures:
        (out / picture.file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 18), (10 * number, 9, 9)).save(out / picture.file)
    key = f"{number:064d}"
    drafts = (
        Draft(f"{key}s", "video_summary", "video", clip, "Summarise."),
        Draft(f"{key}t", "tal", "segment", clip, "When?", answer="0.0-1.0 seconds."),
        Draft(f"{key}d", "dense_captioning", "segment", clip, "Describe.",
              events=(Segment(0, 4, f"cutting {number}"), Segment(4, 9, "suture"))),
    )  # fmt: skip
    prepared = Prepared(video, (PreparedClip(clip, pictures, drafts),))
    prepared_results(work).made(key, lambda: prepared)
    return Result(("hand", f"V{number}"), key, Reading(None), 1, 1, 2)


def chat(server: ChatServer, folder: Path, **fields: Any) -> ChatWriter:
    given = {"timeout_s": 20.0, "max_retries": 0, "concurrency": 3} | fields
    return ChatWriter("m", server.base_url, str(folder / "replies.sqlite"), **given)


def writing_of(folder: Path, by_name: dict[str, Any], workers: int = 1) -> Writing:
    prompting = Prompting(
        folder / "work", folder / "out", None, PromptPolicy(WriterPicturePolicy(most=3)), ()
    )
    return Writing(folder / "work", prompting, by_name, LocalEngine(workers))


def run(
    folder: Path, by_name: dict[str, Any], videos: Sequence[Result]
) -> tuple[list[Texts], WritingTotals, int]:
    totals, ticks = WritingTotals(), [0]

    def tick(count: int) -> None:
        ticks[0] += count

    made = writing_of(folder, by_name).write(videos, totals.add, tick)
    found = []
    for (result, texts), video in zip(made, videos, strict=True):
        assert result is video
        found.append(texts)
    return found, totals, ticks[0]


@pytest.fixture
def videos(tmp_path: Path) -> list[Result]:
    some = [prepare(tmp_path / "work", tmp_path / "out", number) for number in range(4)]
    some.insert(2, Result(("hand", "V9"), "9" * 64, Reading(None), 1, 1, 0))
    return some


def test_every_draft_has_the_texts_of_both_writers(tmp_path: Path, videos: list[Result]) -> None:
    with writers() as (one, other):
        by_name = {"gpt": chat(one, tmp_path), "gemini": chat(other, tmp_path, seed=1)}
        found, totals, ticks = run(tmp_path, by_name, videos)
        assert [len(texts) for texts in found] == [2, 2, 0, 2, 2]
        for texts, video in zip(found, videos, strict=True):
            assert set(texts) == ({f"{video.key}s", f"{video.key}d"} if texts else set())
            assert all(set(by_writer) == {"gpt", "gemini"} for by_writer in texts.values())
        dense = found[1][f"{videos[1].key}d"]["gpt"]
        assert dense.captions[0].endswith("performs cutting 1, and the tissue moves along with it.")
        assert totals.texts == {"gpt": 8, "gemini": 8}
        assert totals.tokens == {"gpt": 8 * 120, "gemini": 8 * 120}
        assert totals.models == {"gpt": {"m-2025-04-14"}, "gemini": {"m-2025-04-14"}}
        assert (totals.missing, totals.unusable, ticks) == ({}, {}, 16)
        assert one.most_at_a_time <= 3

        asked = len(one.requests)
        assert asked == 8
        again, _, ticks = run(tmp_path, by_name, videos)
        assert (again, ticks, len(one.requests), len(other.requests)) == (found, 16, asked, asked)


def test_texts_are_kept_without_the_replies_and_replies_without_the_texts(
    tmp_path: Path, videos: list[Result]
) -> None:
    with writers() as (one, other):
        by_name = {"gpt": chat(one, tmp_path), "gemini": chat(other, tmp_path, seed=1)}
        found, _, _ = run(tmp_path, by_name, videos)
        kept = list((tmp_path / "work" / "written@1").rglob("*.json"))
        assert len(kept) == 4
        for path in kept:
            path.unlink()
        assert run(tmp_path, by_name, videos)[0] == found, "paid for once"
        assert len(one.requests) == 8
        (tmp_path / "replies.sqlite").unlink()
        assert run(tmp_path, by_name, videos)[0] == found
        assert len(one.requests) == 8


def test_a_new_video_and_new_settings_ask_for_what_is_new(tmp_path: Path, videos: list[Result]) -> None:
    with serve(lambda asked: answer_of(asked, "gpt")) as server:
        run(tmp_path, {"gpt": chat(server, tmp_path)}, videos[:1])
        assert len(server.requests) == 2
        run(tmp_path, {"gpt": chat(server, tmp_path)}, videos)
        assert len(server.requests) == 8
        run(tmp_path, {"gpt": chat(server, tmp_path, temperature=0.7)}, videos[:1])
        assert len(server.requests) == 10


@pytest.mark.parametrize(
    ("bad", "where", "name", "asked_again"),
    [
        (Answer("down", status=500), "missing", "gpt: http", True),
        (Answer(None, refusal="No."), "unusable", "gpt: refused", False),
        (Answer("no JSON"), "unusable", "gpt: schema", False),
    ],
)
def test_failures_on_the_way_are_asked_again_and_answers_are_not(
    tmp_path: Path, videos: list[Result], bad: Answer, where: str, name: str, asked_again: bool
) -> None:
    broken = [True]

    def answer(asked: dict[str, Any]) -> Answer:
        return bad if broken[0] and "cutting 3" in json.dumps(asked) else answer_of(asked, "gpt")

    with serve(answer) as server:
        found, totals, _ = run(tmp_path, {"gpt": chat(server, tmp_path, reasks=0)}, videos)
        assert getattr(totals, where) == {name: 1}
        assert totals.texts == {"gpt": 7}
        assert len(server.requests) == 8
        broken[0] = False
        again, totals, _ = run(tmp_path, {"gpt": chat(server, tmp_path, reasks=0)}, videos)
        assert len(server.requests) == 8 + asked_again
        assert totals.texts == {"gpt": 7 + asked_again}
        assert again[:-1] == found[:-1]


def test_what_is_withheld_from_another_machine_is_written_in_the_house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    flagged = [prepare(tmp_path / "work", tmp_path / "out", 1, ("identifying",))]
    with serve(lambda asked: answer_of(asked, "gpt")) as server:
        cache = str(tmp_path / "replies.sqlite")
        remote = ChatWriter("m", server.base_url.replace("127.0.0.1", "0.0.0.0"), cache, allow_remote=True)
        _, totals, _ = run(tmp_path, {"gpt": remote}, flagged)
        assert (totals.unusable, server.requests) == ({"gpt: withheld": 2}, [])
        _, totals, _ = run(tmp_path, {"gpt": chat(server, tmp_path)}, flagged)
        assert totals.texts == {"gpt": 2}


def test_both_writers_are_asked_at_the_same_time_and_each_within_its_bound(
    tmp_path: Path, videos: list[Result]
) -> None:
    arrived, both = set(), threading.Event()

    def meet(name: str, asked: dict[str, Any]) -> Answer:
        arrived.add(name)
        if len(arrived) == 2:
            both.set()
        assert both.wait(30), "the other writer waits for this one"
        return answer_of(asked, name)

    with serve(lambda r: meet("gpt", r)) as one, serve(lambda r: meet("gemini", r)) as other:
        by_name = {
            "gpt": chat(one, tmp_path, concurrency=2),
            "gemini": chat(other, tmp_path, seed=1, concurrency=1),
        }
        _, totals, _ = run(tmp_path, by_name, videos)
    assert totals.texts == {"gpt": 8, "gemini": 8}
    assert one.most_at_a_time <= 2
    assert other.most_at_a_time == 1


class Recorder:
    """Writes without a server and remembers how many were asked for together."""

    remote = False

    def __init__(self) -> None:
        self.batches: list[int] = []

    def settings(self) -> dict[str, Any]:
        return {"model": "recorder"}

    def write(self, requests: Sequence[TextRequest], name: str) -> list[WrittenText]:
        self.batches.append(len(requests))
        return [WrittenText(name, "recorder", "ok", f"Text of {one.draft.key}.") for one in requests]


def test_only_some_videos_are_in_memory_at_a_time(
    tmp_path: Path, videos: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_AT_ONCE", 3)
    recorder = Recorder()
    made = writing_of(tmp_path, {"gpt": recorder}).write(videos, lambda text: None)
    next(made)
    assert recorder.batches == [4], "the second half is not asked for yet"
    found = [texts for _, texts in made]
    assert recorder.batches == [4, 4]
    assert found[-1][f"{videos[-1].key}s"]["gpt"].text == f"Text of {videos[-1].key}s."


def test_workers_make_the_same_prompts(tmp_path: Path, videos: list[Result]) -> None:
    alone, together = (
        [request for requests in LocalEngine(workers).map(writing_of(tmp_path, {}).prompting, videos[:2])
         for request in requests]
        for workers in (1, 2)
    )  # fmt: skip
    assert alone == together


def test_results_that_vanish_are_an_error(tmp_path: Path, videos: list[Result]) -> None:
    gone = replace(videos[0], key="8" * 64)
    with pytest.raises(UserError, match="a result was removed while the build ran"):
        run(tmp_path, {"gpt": Recorder()}, [gone])
    run(tmp_path, {"gpt": Recorder()}, videos)
    made = writing_of(tmp_path, {"gpt": Recorder()}).write(videos, lambda text: None)
    next(made)
    for path in (tmp_path / "work" / "written@1").rglob("*.json"):
        path.unlink()
    with pytest.raises(UserError, match="texts were removed while the build ran"):
        list(made)


def test_what_is_told_of_a_writer_has_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRITER_KEY", "sk-secret")
    made = ChatWriter("m", "http://localhost:1/v1", str(tmp_path / "c"), "WRITER_KEY")
    facts = writer_facts(made)
    assert (facts["model"], facts["base_url"], facts["remote"]) == ("m", "http://localhost:1/v1", False)
    assert "sk-secret" not in json.dumps([facts, made.settings()])
