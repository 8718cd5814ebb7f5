"""Writers against a real local HTTP server: schema replies, refusals, cache, and what may leave the house."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medgrpo.data.build.items import BuildClip, Draft
from medgrpo.data.build.writers import FLAGGED, SCHEMA, SPEECH, ChatWriter, TextRequest
from medgrpo.errors import UserError
from medgrpo.services.chat_message import PicturedPrompt
from medgrpo.services.limits import Limits, Price
from medgrpo.tasks import get_task
from medgrpo.types import Segment
from tests.data.build.caption_server import answer_of, content_of, pictures_of
from tests.services.chat_server import Answer, ChatServer, serve

PICTURE = ("1.0 seconds", "data:image/jpeg;base64,/9j/")
CLIP = BuildClip("CholecT50", "VID01", "cholec:1", 0.0, 40.0, 1.0, (0.0, 1.0), (0, 1), 39)
EVENTS = (Segment(0.0, 12.5, "preparation"), Segment(12.5, 30.0, "clipping-and-cutting"))


def request_of(text: str = "Summarise.", events: tuple[Segment, ...] = (), **fields: Any) -> TextRequest:
    task = "dense_captioning" if events else "video_summary"
    draft = Draft(text, task, "video", CLIP, "Question?", events=events)
    prompt = PicturedPrompt(text, (PICTURE,))
    return TextRequest(
        draft, **{"prompt": prompt, "remote": prompt, "holds": ("annotations", "pictures"), **fields}
    )


def writer_of(server: ChatServer, tmp_path: Path, **fields: Any) -> ChatWriter:
    return ChatWriter("test", server.base_url, str(tmp_path / "replies.sqlite"), backoff_s=0.0, **fields)


def texts(*said: str) -> str:
    return json.dumps({"texts": said})


def in_turn(*answers: Answer | str) -> Callable[[dict[str, Any]], Answer | str]:
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def test_a_text_keeps_its_writer_model_tokens_and_cost(tmp_path: Path) -> None:
    limits = Limits(prices={"test": Price(2.0, 8.0)})
    with serve(lambda request: texts("The grasper  lifts\nthe gallbladder.")) as server:
        (text,) = writer_of(server, tmp_path, limits=limits).write([request_of()], "gpt")
    assert (text.writer, text.model, text.status) == ("gpt", "test-2025-04-14", "ok")
    assert text.text == "The grasper lifts the gallbladder."
    assert (text.prompt_tokens, text.completion_tokens) == (100, 20)
    assert text.cost == pytest.approx((100 * 2.0 + 20 * 8.0) / 1e6)
    assert len(text.prompt_hash) == 64


def test_a_request_holds_pictures_schema_and_parameters(tmp_path: Path) -> None:
    with serve(lambda request: texts("A text.")) as server:
        writer_of(server, tmp_path, seed=7).write([request_of("Summarise the clip.")], "gpt")
    (sent,) = server.requests
    assert content_of(sent) == "Summarise the clip."
    assert pictures_of(sent) == [PICTURE[1]]
    assert sent["messages"][0]["content"][0]["text"] == PICTURE[0]
    asked = sent["response_format"]
    assert (asked["type"], asked["json_schema"]["strict"]) == ("json_schema", True)
    assert asked["json_schema"]["schema"] == SCHEMA
    assert (sent["temperature"], sent["seed"]) == (0.0, 7)


def test_dense_captions_come_one_an_event_in_the_published_format(tmp_path: Path) -> None:
    with serve(lambda request: texts("The grasper lifts it.", "The clipper\ncloses the duct.")) as server:
        (text,) = writer_of(server, tmp_path).write([request_of(events=EVENTS)], "gemini")
    assert text.captions == ("The grasper lifts it.", "The clipper closes the duct.")
    assert text.text == (
        "0.0-12.5 seconds: preparation: The grasper lifts it.\n"
        "12.5-30.0 seconds: clipping-and-cutting: The clipper closes the duct."
    )
    assert get_task("dense_captioning").parse(text.text).valid


@pytest.mark.parametrize(
    "unfit",
    ["no JSON", texts("One."), texts("One.", "Two.", "Three."), texts("One.", " "), '{"texts": ["One.", 2]}',
     '["One.", "Two."]', '{"words": []}'],
)  # fmt: skip
def test_a_reply_that_does_not_fit_is_asked_again_once(unfit: str, tmp_path: Path) -> None:
    with serve(in_turn(unfit, texts("One.", "Two."))) as server:
        (text,) = writer_of(server, tmp_path).write([request_of(events=EVENTS)], "gpt")
    assert (text.status, text.captions, len(server.requests)) == ("ok", ("One.", "Two."), 2)
    assert text.prompt_tokens == 200, "both requests are counted"
    again = server.requests[1]["messages"]
    assert [turn["role"] for turn in again] == ["user", "assistant", "user"]


def test_a_reply_that_never_fits_is_a_schema_failure_and_is_not_paid_for_again(tmp_path: Path) -> None:
    with serve(lambda request: "Gladly!") as server:
        for _ in range(2):
            (text,) = writer_of(server, tmp_path).write([request_of()], "gpt")
            assert (text.status, text.text) == ("schema", "")
            assert "Gladly!" in text.detail
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "refused",
    [Answer(None, refusal="I cannot describe patients."), Answer("", finish_reason="content_filter")],
)
def test_a_refusal_is_noticed_and_not_asked_again(refused: Answer, tmp_path: Path) -> None:
    with serve(lambda request: refused) as server:
        for _ in range(2):
            (text,) = writer_of(server, tmp_path).write([request_of()], "gpt")
            assert (text.status, text.text) == ("refused", "")
            assert text.detail
    assert len(server.requests) == 1


def test_what_failed_on_the_way_is_asked_for_again_by_the_next_run(tmp_path: Path) -> None:
    with serve(in_turn(Answer(status=500), texts("At last."))) as server:
        (text,) = writer_of(server, tmp_path, max_retries=0).write([request_of()], "gpt")
        assert text.status == "http"
        (text,) = writer_of(server, tmp_path, max_retries=0).write([request_of()], "gpt")
        assert (text.status, text.text) == ("ok", "At last.")


def test_replies_are_kept_by_what_was_asked(tmp_path: Path) -> None:
    with serve(lambda request: answer_of(request, "gpt")) as server:
        first = writer_of(server, tmp_path).write([request_of("A"), request_of("B"), request_of("A")], "gpt")
        assert first[0] == first[2]
        assert len(server.requests) == 2, "equal prompts are asked once"
        assert writer_of(server, tmp_path).write([request_of("B")], "gpt")[0].text == first[1].text
        assert len(server.requests) == 2
        writer_of(server, tmp_path, temperature=0.5).write([request_of("B")], "gpt")
        other = PicturedPrompt("B", (("2.0 seconds", PICTURE[1]),))
        writer_of(server, tmp_path).write([request_of("B", prompt=other)], "gpt")
        assert len(server.requests) == 4, "other parameters or pictures are another question"


def test_no_more_requests_are_under_way_than_allowed(tmp_path: Path) -> None:
    with serve(lambda request: Answer(texts("Said."), delay_s=0.02)) as server:
        written = writer_of(server, tmp_path, concurrency=3).write(
            [request_of(str(k)) for k in range(12)], "gpt"
        )
    assert all(text.status == "ok" for text in written)
    assert server.most_at_a_time <= 3


def test_another_machine_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    cache = str(tmp_path / "replies.sqlite")
    with pytest.raises(UserError, match="allow_remote: true"):
        ChatWriter("m", "https://api.example.org/v1", cache)
    assert ChatWriter("m", "https://api.example.org/v1", cache, allow_remote=True).remote
    assert not ChatWriter("m", "http://gpu.hospital:8000/v1", cache, allow_hosts=["gpu.hospital"]).remote


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the test's server for another machine's."""
    monkeypatch.setattr("medgrpo.data.build.writers.is_local", lambda *arguments: False)


@pytest.mark.usefixtures("remote")
def test_a_remote_writer_gets_the_harmless_prompt_or_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    harmless = PicturedPrompt("Without names.", (PICTURE,))
    held = {"holds": ("annotations", "pictures", "speech"), "held_back": (FLAGGED, SPEECH)}
    asked = [
        request_of("With names.", remote=harmless, **held),
        request_of("All flagged.", remote=None, detail="every frame of it is flagged", **held),
    ]
    with serve(lambda request: texts("Said.")) as server, caplog.at_level(logging.WARNING):
        given, withheld = writer_of(server, tmp_path, allow_remote=True).write(asked, "gpt")
    assert [content_of(request) for request in server.requests] == ["Without names."]
    assert given.status == "ok"
    assert (withheld.status, withheld.detail) == ("withheld", "every frame of it is flagged")
    said = caplog.messages
    assert "writer gpt (test): pictures of clips leave this machine for 127.0.0.1" in said
    assert f"writer gpt (test): {SPEECH} stay on this machine" in said
    assert f"writer gpt (test): {FLAGGED} stay on this machine" in said
    assert not any("speech of clips leave" in line for line in said)


def test_a_writer_of_the_house_gets_all_and_the_log_says_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = {"holds": ("pictures", "speech"), "held_back": (FLAGGED, SPEECH), "remote": None}
    with serve(lambda request: texts("Said.")) as server, caplog.at_level(logging.WARNING):
        writer = writer_of(server, tmp_path)
        for _ in range(2):
            writer.write([request_of("With names.", **held)], "gpt")
    assert content_of(server.requests[0]) == "With names."
    assert caplog.messages == [
        f"writer gpt (test): {kind} of clips go to 127.0.0.1" for kind in ("pictures", "speech")
    ], "once for each kind"


def test_the_key_is_sent_and_appears_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WRITER_KEY", "sk-very-secret")
    with serve(in_turn(Answer("bad key sk-very-secret", status=500), texts("Said."))) as server:
        writer = writer_of(server, tmp_path, api_key_env="WRITER_KEY", max_retries=0)
        failed = writer.write([request_of()], "gpt")
        written = writer.write([request_of()], "gpt")
    assert server.headers[0]["authorization"] == "Bearer sk-very-secret"
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    shown = f"{failed}{written}{caplog.text}{writer.settings()}{vars(writer)}"
    assert "sk-very-secret" not in shown
    assert b"sk-very-secret" not in stored


def test_a_budget_is_kept(tmp_path: Path) -> None:
    limits = Limits(max_cost=1e-9, prices={"test": Price(2.0, 8.0)})
    with serve(lambda request: texts("Said.")) as server:
        (text,) = writer_of(server, tmp_path, limits=limits).write([request_of()], "gpt")
    assert (text.status, server.requests) == ("budget", [])


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"reasks": -1}, {"max_tokens": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ChatWriter: "):
        ChatWriter("m", "http://localhost:1/v1", str(tmp_path / "c"), **wrong)
