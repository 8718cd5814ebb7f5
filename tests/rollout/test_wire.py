"""Messages between trainer and rollout server."""

from __future__ import annotations

from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.rollout.handover import hand_over
from medgrpo.rollout.vllm_remote import read_request, request_message
from medgrpo.rollout.wire import pack, read_messages, unpack
from tests.tiny_models import FAMILIES, frame_list_sample, tiny_policy


def sent(messages: list[bytes]) -> bytes:
    """The body that Python's client sends."""
    connection = HTTPConnection("localhost")
    connection.sock = BytesSocket()  # type: ignore[assignment]
    connection.request("POST", "/", iter(messages), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    return connection.sock.data.partition(b"\r\n\r\n")[2]  # type: ignore[union-attr]


class BytesSocket:
    data = b""

    def sendall(self, data: bytes) -> None:
        self.data += data


def test_texts_and_tensors_arrive_as_they_were() -> None:
    text = {"a": [1, 2.5, None, "\N{GREEK SMALL LETTER MU}m\r\n"], "b": float("inf")}
    tensors = {
        "x": torch.randn(3, 4),
        "y": torch.arange(6, dtype=torch.uint8).view(2, 3).t(),
        "z": torch.ones(1).bfloat16(),
    }
    body = sent([pack(text, tensors), pack("last")])
    (told, found), last = read_messages(BytesIO(body))
    assert told == text
    assert found.keys() == tensors.keys()
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
        for name, tensor in tensors.items()
    )
    assert last == ("last", {})


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_body_that_breaks_off_is_no_message(share: float) -> None:
    body = sent([pack("first", {"x": torch.zeros(100)}), pack("second")])
    with pytest.raises(EOFError):
        list(read_messages(BytesIO(body[: int(share * len(body))])))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_request_is_the_same_on_the_other_side(family: Any, tmp_path: Path) -> None:
    _, encoder = tiny_policy(family)
    prompt = hand_over(encoder, encoder.prompt(frame_list_sample(tmp_path, fps=0.3)))
    sampling = {"n": 2, "banned_ids": [3]}
    found, options = read_request(unpack(request_message(prompt, sampling)))
    assert options == sampling
    [(frames, times)], [(sent_frames, sent_times)] = (
        p.pop("multi_modal_data")["video"] for p in (found, prompt)
    )
    assert found == prompt
    assert times == sent_times
    assert torch.equal(frames, sent_frames)
