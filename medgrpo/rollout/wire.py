"""Messages between trainer and rollout server: JSON with tensors, many to a request, and nothing to execute.

A message is a safetensors file, one chunk of the body in HTTP's chunked transfer, so that weights pass one at
a time without a copy of the model on either side.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import torch

__all__ = ["Message", "pack", "read_messages", "unpack"]

Message = tuple[Any, dict[str, torch.Tensor]]
"""What JSON can say, and tensors by name."""

TEXT = "message"


def pack(text: Any, tensors: Mapping[str, torch.Tensor] | None = None) -> bytes:
    """A message as bytes.

    Args:
        text: Anything that JSON can say.
        tensors: By name; none may be called ``message``.
    """
    from safetensors.torch import save

    encoded = torch.frombuffer(bytearray(json.dumps(text).encode()), dtype=torch.uint8)
    moved = {name: tensor.detach().cpu().contiguous() for name, tensor in (tensors or {}).items()}
    return save({TEXT: encoded, **moved})


def unpack(blob: bytes) -> Message:
    """The message that was packed."""
    from safetensors.torch import load

    tensors = load(blob)
    text = json.loads(tensors.pop(TEXT).numpy().tobytes())
    return text, tensors


def read_messages(body: BinaryIO) -> Iterator[Message]:
    """The messages of a request's body, as they arrive.

    Raises:
        EOFError: If the sender has gone before the end.
    """
    while size := int(body.readline().strip() or b"-1", 16):
        if size < 0:
            raise EOFError("the sender has gone")
        blob = body.read(size)
        body.readline()
        if len(blob) < size:
            raise EOFError("the sender has gone")
        yield unpack(blob)
    body.readline()
