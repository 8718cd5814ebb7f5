"""A :class:`~medgrpo.rollout.vllm_host.VLLMHost` behind HTTP: the trainer's side, and what both sides say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch

from medgrpo import __version__
from medgrpo.rollout.failures import EngineError
from medgrpo.rollout.handover import PromptView
from medgrpo.rollout.wire import Message, pack

__all__ = ["RemoteHost", "read_request", "request_message"]

Request = tuple[dict[str, Any], dict[str, Any]]


def request_message(prompt: dict[str, Any], sampling: dict[str, Any]) -> bytes:
    """A prompt of :func:`~medgrpo.rollout.handover.hand_over` and its sampling; frames go as they are."""
    videos = prompt["multi_modal_data"]["video"]
    frames = {str(index): frames for index, (frames, _) in enumerate(videos)}
    text = {name: value for name, value in prompt.items() if name != "multi_modal_data"}
    return pack({"prompt": text, "videos": [times for _, times in videos], "sampling": sampling}, frames)


def read_request(message: Message) -> Request:
    """The prompt and its sampling again."""
    text, frames = message
    videos = [(frames[str(index)], times) for index, times in enumerate(text["videos"])]
    return text["prompt"] | {"multi_modal_data": {"video": videos}}, text["sampling"]


class RemoteHost:
    """The host that a rollout server runs; see :class:`~medgrpo.rollout.vllm_host.VLLMHost` for what it does.

    Args:
        base_url: Of the server.
        timeout_s: Longest silence of the server.

    Raises:
        EngineError: Here and at every call, if the server cannot be reached, fails, or is another version.
    """

    asleep = False

    def __init__(self, base_url: str, timeout_s: float) -> None:
        self.base_url = base_url
        self.timeout_s = timeout_s
        self._dtype = torch.float32
        [found] = self._ask("hello", [])
        if found["version"] != __version__:
            raise EngineError(
                f"the rollout server at {base_url} is medgrpo {found['version']}, this is {__version__}"
            )

    def start(self, path: str, options: dict[str, Any]) -> None:
        """Start the engine; nothing happens if it runs with the same options already."""
        list(self._ask("start", [pack({"path": path, "options": options})]))
        self._dtype = getattr(torch, options["dtype"])

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Send weights, one at a time, rounded here as the server would."""
        list(self._ask("load", (pack(name, {"weight": w.to(self._dtype)}) for name, w in weights)))

    def answers(self, requests: Sequence[Request], seed: int) -> Iterator[tuple[int, Any]]:
        """Answer prompts, as they are finished."""
        messages = [pack(seed), *(request_message(*request) for request in requests)]
        yield from self._ask("answers", messages)

    def view(self, prompt: dict[str, Any], sampling: dict[str, Any]) -> list[PromptView]:
        """What the server's engine computes of a prompt."""
        found = self._ask("view", [request_message(prompt, sampling)])
        return [
            PromptView(np.asarray(ids), np.asarray(positions), next_position, np.asarray(grids))
            for ids, positions, next_position, grids in found
        ]

    def _ask(self, path: str, messages: Iterable[bytes]) -> Iterator[Any]:
        """The lines of the server's reply, as they arrive."""
        connection = self._connect()
        try:
            connection.request(
                "POST", f"/{path}", iter(messages), {"Transfer-Encoding": "chunked"}, encode_chunked=True
            )
            yield from self._lines(connection.getresponse())
        except ConnectionRefusedError as error:
            raise EngineError(
                f"no rollout server answers at {self.base_url}; start one with: medgrpo serve-rollouts"
            ) from error
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise EngineError(f"the rollout server at {self.base_url} was lost: {reason}") from error
        finally:
            connection.close()

    def _lines(self, response: HTTPResponse) -> Iterator[Any]:
        for line in response:
            kind, value = json.loads(line)
            if kind == "end":
                return
            if kind == "error":
                raise EngineError(f"the rollout server at {self.base_url}: {value}")
            yield value
        raise EngineError(f"the rollout server at {self.base_url} broke off its reply")

    def _connect(self) -> HTTPConnection:
        parts = urlsplit(self.base_url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=self.timeout_s)
