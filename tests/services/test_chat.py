"""The chat client against a real HTTP server: what fails on the way, and what must not leave the machine."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import threading
from typing import Any

import pytest

from medgrpo.errors import MissingExtraError, UserError
from medgrpo.services.chat import ChatClient
from tests.services.chat_server import Answer, ChatServer, serve
from tests.services.clock import Clock

SOON = {"retry-after-ms": "20"}


def client(server: ChatServer | str, **arguments: Any) -> ChatClient:
    url = server if isinstance(server, str) else server.base_url
    return ChatClient("judge", url, **{"max_retries": 2, "timeout_s": 60.0, **arguments})


def last(request: dict[str, Any]) -> str:
    return request["messages"][-1]["content"]


def test_replies_come_in_order_and_say_what_they_cost() -> None:
    with serve(
        lambda request: Answer(last(request).upper(), delay_s=0.03 * (last(request) == "a"))
    ) as server:
        replies = client(
            server, concurrency=3, parameters={"temperature": 0.0, "extra_body": {"top_k": 1}}
        ).ask(["a", "b", "c"])
    assert [reply.text for reply in replies] == ["A", "B", "C"]
    assert all((r.status, r.model) == ("ok", "judge-2025-04-14") for r in replies)
    assert (replies[0].prompt_tokens, replies[0].completion_tokens) == (100, 20)
    assert replies[0].latency_s >= 0.03
    assert server.requests[0]["temperature"] == 0.0
    assert server.requests[0]["top_k"] == 1


def test_no_questions_need_no_server() -> None:
    assert client("http://localhost:1/v1").ask([]) == []


def test_rate_limits_are_waited_out_as_long_as_the_server_says(clock: Clock) -> None:
    answers = iter([Answer("slow down", 429, {"Retry-After": "50"}), Answer("done")])
    with serve(lambda request: next(answers)) as server:
        (reply,) = client(server).ask(["a"])
    assert (reply.text, reply.status) == ("done", "ok")
    (slept,) = clock.slept
    assert 50.0 <= slept <= 55.0  # half a second at most without the header
    assert reply.latency_s == pytest.approx(slept)


def test_server_errors_are_retried_then_reported() -> None:
    answers = iter([Answer("", 500, SOON), Answer("", 503, SOON), Answer("done")])
    with serve(lambda request: next(answers)) as server:
        assert client(server).ask(["a"])[0].text == "done"
    with serve(lambda request: Answer("out of memory", 500, SOON)) as server:
        (reply,) = client(server).ask(["a"])
    assert (reply.status, reply.text, len(server.requests)) == ("http", "", 3)
    assert "500" in reply.detail
    assert "out of memory" in reply.detail


def test_a_bad_request_fails_alone() -> None:
    with serve(lambda r: Answer("too long", 400) if last(r) == "a" else "fine") as server:
        replies = client(server).ask(["a", "b"])
    assert [reply.status for reply in replies] == ["http", "ok"]
    assert len(server.requests) == 2


def test_a_timeout_is_a_status() -> None:
    with serve(lambda request: Answer("late", delay_s=600.0)) as server:
        (reply,) = client(server, timeout_s=0.1, max_retries=0).ask(["a"])
    assert (reply.status, reply.text) == ("timeout", "")


@pytest.mark.parametrize(
    "answer", [Answer(None, refusal="I cannot help"), Answer("R2: 5", finish_reason="content_filter")]
)
def test_a_refusal_is_a_status(answer: Answer) -> None:
    with serve(lambda request: answer) as server:
        (reply,) = client(server).ask(["a"], reasks=3)
    assert (reply.status, reply.text, len(server.requests)) == ("refused", "", 1)


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", '{"choices": []}', '{"choices": [{}]}', '"x"'])
def test_a_body_that_is_no_completion_is_unreadable(body: str) -> None:
    with serve(lambda request: Answer(body=body)) as server:
        (reply,) = client(server).ask(["a"], reask="Again.", reasks=1)
    assert (reply.status, reply.text, len(server.requests)) == ("schema", "", 2)
    assert reply.detail


def test_an_unreadable_reply_is_asked_again_with_what_is_wanted() -> None:
    answers = iter(["well", "", "4"])
    with serve(lambda request: next(answers)) as server:
        (reply,) = client(server).ask(["a"], readable=str.isdigit, reask="A number.", reasks=2)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("4", 300, 60)
    contents = [[message["content"] for message in request["messages"]] for request in server.requests]
    assert contents == [["a"], ["a", "well", "A number."], ["a", "well", "A number."]]
    with serve(lambda request: "well") as server:
        (reply,) = client(server).ask(["a"], readable=str.isdigit, reask="A number.", reasks=1)
    assert (reply.status, reply.text, len(server.requests)) == ("schema", "", 2)
    assert "well" in reply.detail


def test_concurrency_is_bounded() -> None:
    four = threading.Barrier(4)

    def answer(request: dict[str, Any]) -> Answer:
        four.wait(timeout=60)
        return Answer("x", delay_s=0.01)  # time for a fifth to come, if there were one

    with serve(answer) as server:
        client(server, concurrency=4).ask([str(i) for i in range(24)])
    assert server.most_at_a_time == 4
    assert len(server.requests) == 24


def test_a_server_that_is_not_there_is_a_status_and_soon_given_up() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    replies = client(url, max_retries=0, concurrency=2).ask([str(i) for i in range(500)])
    assert {reply.status for reply in replies} == {"http"}
    assert "cannot be reached" in replies[0].detail
    not_asked = [reply.detail.startswith("not asked") for reply in replies]
    assert not_asked[:4] == [False] * 4
    assert all(not_asked[5:])  # the fifth was under way when the fourth had failed


def test_inside_an_event_loop() -> None:
    async def notebook() -> str:
        return client(server).ask(["a"])[0].text

    with serve(lambda request: "yes") as server:
        assert asyncio.run(notebook()) == "yes"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_is_the_users_mistake_and_hides_the_key(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-123")
    caplog.set_level("DEBUG")
    with serve(lambda request: Answer("no access with sk-secret-123", status)) as server:
        asked = client(server, api_key_env="JUDGE_KEY", concurrency=2)
        with pytest.raises(UserError, match=r"refuses judge: .*no access with \*\*\*.*JUDGE_KEY") as caught:
            asked.ask(["a", "b", "c"])
    assert server.headers[0]["authorization"] == "Bearer sk-secret-123"
    told = [str(caught.value), repr(asked), str(vars(asked)), caplog.text]
    assert not any("sk-secret-123" in text for text in told)


def test_the_users_own_openai_key_stays_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123")
    with serve(lambda request: "x") as server:
        client(server).ask(["a"])
    assert "sk-secret-123" not in str(server.headers)


@pytest.mark.parametrize("name", ["NO_SUCH_KEY_HERE", "sk-secret-123", "AIzaSecret"])
def test_a_key_that_is_not_set_or_stands_in_the_config(name: str) -> None:
    with pytest.raises(UserError, match="environment variable") as caught:
        client("http://localhost:1/v1", api_key_env=name)
    assert "ecret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://10.0.0.7/v1",
        "http://localhost.example.com/v1",
        "http://127.0.0.1.x/v1",
    ],
)
def test_other_machines_are_refused_unless_allowed(url: str) -> None:
    with pytest.raises(UserError, match="allow_remote"):
        client(url)
    assert client(url, allow_remote=True)


@pytest.mark.parametrize(
    "url", ["http://judge.hospital:8000/v1", "http://JUDGE.hospital/v1", "http://10.0.0.7/v1"]
)
def test_the_users_own_servers_are_allowed_by_name(url: str) -> None:
    assert client(url, allow_hosts=["Judge.Hospital", "10.0.0.7"])
    for others in ([], ["hospital"], ["judge"], ["10.0.0.70"]):
        with pytest.raises(UserError, match="allow_hosts"):
            client(url, allow_hosts=others)


@pytest.mark.parametrize("name", ["http://judge.hospital", "judge.hospital:8000/v1", "*", "", "a b"])
def test_a_host_is_a_plain_name(name: str) -> None:
    with pytest.raises(UserError, match="nothing else"):
        client("http://localhost:1/v1", allow_hosts=[name])


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "http://127.0.0.1/v1", "http://[::1]:8000/v1"])
def test_this_machine_is_allowed(url: str) -> None:
    assert client(url)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "", "ftp://localhost/v1", "http://[::1/v1", "http://localhost:x"]
)
def test_malformed_addresses(url: str) -> None:
    with pytest.raises(UserError, match="base_url must look like"):
        client(url)


@pytest.mark.parametrize("url", ["http://me:secret@localhost/v1", "http://localhost/v1?key=secret"])
def test_secrets_in_addresses(url: str) -> None:
    with pytest.raises(UserError, match="api_key_env") as caught:
        client(url)
    assert "secret" not in str(caught.value)


def test_redirects_and_proxies_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda request: "stolen") as thief:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, thief.base_url.removesuffix("/v1"))
        location = {"Location": f"{thief.base_url}/chat/completions"}
        with serve(lambda request: Answer("", 307, location)) as server:
            (reply,) = client(server).ask(["a"])
    assert (reply.status, len(server.requests), thief.requests) == ("http", 1, [])


@pytest.mark.parametrize(
    "wrong", [{"timeout_s": 0.0}, {"max_retries": -1}, {"concurrency": 0}, {"timeout_s": float("nan")}]
)
def test_arguments_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        client("http://localhost:1/v1", **wrong)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openai" else find(name))
    with pytest.raises(MissingExtraError, match=r"medgrpo\[judge\]"):
        client("http://localhost:1/v1")
