"""The rollout server: a vLLM engine in a process of its own, on devices of its own, for one trainer process.

vLLM's server is not used for three reasons, looked up in 0.32: its endpoint for token ids takes a video's
place in the prompt as offset and length alone, which cannot say where the timestamps of Qwen3-VL's video
stand; its other endpoints decode and sample videos again; and neither tells the positions that it computes.
Here the engine is the one that also runs inside the trainer, so prompts, sampling and weights are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from medgrpo import __version__
from medgrpo.errors import UserError
from medgrpo.rollout.failures import engine_failures
from medgrpo.rollout.vllm_host import VLLMHost
from medgrpo.rollout.vllm_remote import read_request
from medgrpo.rollout.wire import Message, read_messages

__all__ = ["RolloutServer"]


class RolloutServer(HTTPServer):
    """Serves one engine, one request after the other.

    Args:
        address: Host and port; 0 takes a free port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.host: VLLMHost | None = None
        self.started: Any = None
        self.failure: Exception | None = None
        super().__init__(address, _Handler)

    @property
    def actions(self) -> dict[str, Callable[[Iterator[Message]], Generator[Any]]]:
        """What can be asked: from the messages of a request to the values of the reply."""
        return {
            "hello": self._hello,
            "start": self._start,
            "load": self._load,
            "answers": self._answers,
            "view": self._view,
        }

    def service_actions(self) -> None:
        """End the server when its engine has failed: in this process no other could have its memory.

        Raises:
            EngineError: If it has.
        """
        if self.failure is not None:
            with engine_failures("the engine of the rollout server"):
                raise self.failure

    def _hello(self, messages: Iterator[Message]) -> Generator[Any]:
        list(messages)
        yield {"version": __version__}

    def _start(self, messages: Iterator[Message]) -> Generator[Any]:
        [(wanted, _)] = messages
        if self.host is None:
            self.host, self.started = VLLMHost(wanted["path"], wanted["options"]), wanted
        elif wanted != self.started:
            raise UserError("it runs another model or other options already; start it again")
        yield from ()

    def _load(self, messages: Iterator[Message]) -> Generator[Any]:
        try:
            self._running().load((name, tensors["weight"]) for name, tensors in messages)
        except EOFError as error:
            raise RuntimeError("the trainer has gone in the middle of its weights") from error
        yield from ()

    def _answers(self, messages: Iterator[Message]) -> Generator[Any]:
        seed, _ = next(messages)
        # All are read first: the trainer listens when it has said everything.
        requests = [read_request(message) for message in messages]
        yield from self._running().answers(requests, seed)

    def _view(self, messages: Iterator[Message]) -> Generator[Any]:
        [request] = [read_request(message) for message in messages]
        for view in self._running().view(*request):
            yield view.ids.tolist(), view.positions.tolist(), view.next_position, view.grids.tolist()

    def _running(self) -> VLLMHost:
        if self.host is None:
            raise UserError("no engine runs; continue the training run from its last checkpoint")
        return self.host


class _Handler(BaseHTTPRequestHandler):
    """Reads the messages of a request and writes the reply, a line of JSON a value."""

    server: RolloutServer

    def do_POST(self) -> None:
        action = self.server.actions.get(self.path.strip("/"))
        if action is None or self.headers.get("Transfer-Encoding") != "chunked":
            self.send_error(404)
            return
        messages = read_messages(self.rfile)  # type: ignore[arg-type]
        self.send_response(200)
        self.end_headers()
        reply = action(messages)
        try:
            for value in reply:
                self._write("value", value)
            self._write("end", None)
        except UserError as error:
            self._write("error", str(error))
        except (ConnectionError, EOFError):
            reply.close()  # the trainer has gone: its prompts are given up
        except Exception as error:
            self.server.failure = error
            self._write("error", f"{type(error).__name__}: {' '.join(str(error).split())}")

    def _write(self, kind: str, value: Any) -> None:
        self.wfile.write(json.dumps([kind, value]).encode() + b"\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of single requests."""
