"""Answer prompts of a training run with vLLM, on devices that the run does not use."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from medgrpo.errors import MissingExtraError, UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--port", type=int, default=8100, help="default 8100; 0 takes a free one")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; whoever reaches it can have any model directory loaded, so other than "
        "127.0.0.1 only inside a network that is yours",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; the engine starts when a run asks for it, with the options of its config."""
    if find_spec("vllm") is None:
        raise MissingExtraError("vllm", "vllm")
    from medgrpo.rollout.server import RolloutServer

    try:
        server = RolloutServer((args.host, args.port))
    except OSError as error:
        raise UserError(f"cannot listen at {args.host}:{args.port}: {error.strerror}") from error
    with server:
        print(f"rollout server at http://{args.host}:{server.server_port}", flush=True)
        server.serve_forever()
    return 0
