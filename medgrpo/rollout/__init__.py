"""Sampling answers from the policy, and the store of every answer with all of its numbers.

The names below are imported when first used: reading the store needs no torch.
"""

from importlib import import_module
from typing import Any

__all__ = ["HFEngine", "RolloutEngine", "RolloutStore", "VLLMEngine", "VLLMServerEngine", "read_rollouts"]

_HOMES = {
    "HFEngine": "medgrpo.rollout.hf",
    "RolloutEngine": "medgrpo.rollout.engine",
    "RolloutStore": "medgrpo.rollout.store",
    "VLLMEngine": "medgrpo.rollout.vllm",
    "VLLMServerEngine": "medgrpo.rollout.vllm_server",
    "read_rollouts": "medgrpo.rollout.store",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
