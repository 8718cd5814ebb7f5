"""A judge server that answers after a set time with scores that follow from the text, and fails on demand.

Speaks as much of OpenAI's chat completions as a client needs, in a process of its own. With ``--faults`` that
share of requests fails in one of :data:`FAULTS`, in a random but repeatable order. ``GET /count`` tells how
many questions came.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["DIMENSIONS", "FAULTS", "asked", "main", "running", "scores_of"]

DIMENSIONS = ("terminology", "identification", "specificity", "context", "action")
FAULTS = (
    "rate limit",
    "server error",
    "half a body",
    "invalid JSON",
    "wrong types",
    "wrong score types",
    "out of range",
    "hang",
    "closed",
)
_HANG = 3600.0


def scores_of(candidate: str) -> dict[str, int]:
    """The only scores that a candidate can rightly have."""
    digest = hashlib.sha256(candidate.encode()).digest()
    return {name: 1 + digest[i] % 5 for i, name in enumerate(DIMENSIONS)}


@contextmanager
def running(latency_s: float = 0.0, faults: float = 0.0, seed: int = 0) -> Iterator[str]:
    """A server in a process of its own; gives its base URL."""
    command = [sys.executable, "-m", "benchmarks.judge_server", f"--latency={latency_s}"]
    command += [f"--faults={faults}", f"--seed={seed}"]
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()


def asked(base_url: str) -> int:
    """How many questions a server has got."""
    with urllib.request.urlopen(base_url.replace("/v1", "/count"), timeout=30) as reply:
        return int(reply.read())


class _Server:
    def __init__(self, latency_s: float, faults: float, seed: int) -> None:
        self.latency_s = latency_s
        self.faults = faults
        self.chance = random.Random(seed)
        self.count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        try:
            while await self._one(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client gave up
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if head.startswith("GET /count"):
            writer.write(_http(200, str(self.count)))
            return True
        length = next(
            int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length")
        )
        request = json.loads(await reader.readexactly(length))
        self.count += 1
        fault = self.chance.choice(FAULTS) if self.chance.random() < self.faults else ""
        if fault == "closed":
            return False
        await asyncio.sleep(_HANG if fault == "hang" else self.latency_s)
        reply = _reply(request, fault)
        writer.write(reply[: len(reply) // 2] if fault == "half a body" else reply)
        return fault != "half a body"


def _reply(request: dict[str, Any], fault: str) -> bytes:
    if fault == "rate limit":
        return _http(429, '{"error": {"message": "slow down"}}', "Retry-After: 0.05\r\n")
    if fault == "server error":
        return _http(500, '{"error": {"message": "out of memory"}}')
    if fault == "invalid JSON":
        return _http(200, '{"id": "chatcmpl-1", "choices": [')
    if fault == "wrong types":
        return _http(200, json.dumps({"id": 1, "choices": {"0": "4"}, "usage": "many", "model": []}))
    first = request["messages"][0]["content"].splitlines()
    item = json.loads(next(line for line in reversed(first) if line.startswith("{")))
    scores: dict[str, Any] = dict(scores_of(item["candidate"]))
    if fault == "out of range":
        scores["action"] = 9
    if fault == "wrong score types":
        scores["action"] = str(scores["action"])
    text = json.dumps({name: {"rationale": "Compared.", "score": score} for name, score in scores.items()})
    message = {"role": "assistant", "content": text}
    return _http(
        200,
        json.dumps(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": request["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000},
            }
        ),
    )


def _http(status: int, body: str, headers: str = "") -> bytes:
    data = body.encode()
    kind = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    head = f"HTTP/1.1 {status} X\r\n{kind}{headers}\r\n"
    return head.encode() + data


async def _run(server: _Server) -> None:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512)
    print(listening.sockets[0].getsockname()[1], flush=True)
    async with listening:
        await listening.serve_forever()


def main(argv: Sequence[str] = ()) -> None:
    """Serve until the process is ended; the port is printed first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_server", description=__doc__)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds to an answer")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that fail")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    args = parser.parse_args(argv)
    asyncio.run(_run(_Server(args.latency, args.faults, args.seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
