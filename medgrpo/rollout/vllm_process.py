"""What starting vLLM inside the trainer's process needs of it, and what it must leave as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["can_sleep", "kept_process", "rank_options"]

ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""The engine shares this process, so that weights reach it without a copy; nothing is reported to anyone."""

DEFAULTS = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
"""What is set unless the user set it."""


def rank_options(device: torch.device) -> dict[str, Any]:
    """Keep the engine on the device of this rank; vLLM takes the first one otherwise."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not distributed or torch.distributed.get_world_size() == 1:
        return {}
    os.environ["RANK"] = str(torch.distributed.get_rank())
    os.environ["LOCAL_RANK"] = str(device.index or 0)
    return {"distributed_executor_backend": "external_launcher"}


@contextmanager
def kept_process() -> Iterator[None]:
    """Import and start vLLM without what it changes in the process for good.

    On a CPU it takes ``torch.set_num_threads`` away, and preloads libraries into programs started later.
    """
    os.environ.update(ENVIRONMENT)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    names = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "RANK")
    before = {name: os.environ[name] for name in names if name in os.environ}
    threads, set_num_threads = torch.get_num_threads(), torch.set_num_threads
    try:
        yield
    finally:
        torch.set_num_threads = set_num_threads
        torch.set_num_threads(threads)
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


def can_sleep() -> bool:
    """Whether vLLM can give memory back on this platform and take it again."""
    with kept_process():
        from vllm.platforms import current_platform

        if not current_platform.is_sleep_mode_available():
            return False
        return not current_platform.is_cuda_alike() or current_platform.is_cumem_allocator_available()
