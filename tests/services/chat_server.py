"""An OpenAI-compatible server for tests: a real HTTP server on this machine whose answers a test decides."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Answer", "ChatServer", "item_of", "serve"]


@dataclass
class Answer:
    """What the server sends."""

    text: str | None = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    refusal: str | None = None
    finish_reason: str = "stop"
    body: str | None = None  # instead of a completion


class ChatServer:
    """Requests that came, and how the next are answered."""

    def __init__(self, answer: Callable[[dict[str, Any]], Answer | str]) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_a_time = 0
        self.base_url = ""
        self._now = 0
        self._lock = threading.Lock()

    def reply(self, request: dict[str, Any], headers: dict[str, str]) -> Answer:
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            self._now += 1
            self.most_at_a_time = max(self.most_at_a_time, self._now)
        answer = self.answer(request)
        answer = Answer(answer) if isinstance(answer, str) else answer
        time.sleep(answer.delay_s)
        with self._lock:
            self._now -= 1
        return answer


@contextmanager
def serve(answer: Callable[[dict[str, Any]], Answer | str]) -> Iterator[ChatServer]:
    """Run a server as long as the context."""
    state = ChatServer(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found = self.path == "/v1/chat/completions"
            answer = state.reply(request, headers) if found else Answer(status=404)
            body = answer.body if answer.body is not None else _completion(request, answer)
            data = body.encode()
            try:
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client gave up

        def log_message(self, *args: Any) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *args: Any) -> None:
            """A client that hangs up is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    state.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def item_of(request: dict[str, Any]) -> dict[str, str]:
    """The item of a judge's prompt."""
    lines = request["messages"][0]["content"].splitlines()
    return json.loads(next(line for line in reversed(lines) if line.startswith("{")))


def _completion(request: dict[str, Any], answer: Answer) -> str:
    if answer.status != 200:
        return json.dumps({"error": {"message": answer.text or "failed", "type": "error", "code": None}})
    message = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": f"{request['model']}-2025-04-14",
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
    )
