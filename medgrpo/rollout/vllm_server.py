"""Rollouts through a vLLM engine in another process, on devices that the trainer does not use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from medgrpo.errors import UserError
from medgrpo.rollout.vllm import VLLMEngine
from medgrpo.rollout.vllm_remote import RemoteHost
from medgrpo.services.addresses import is_local

__all__ = ["VLLMServerEngine"]


class VLLMServerEngine(VLLMEngine):
    """Samples with rollout servers, each started with ``medgrpo serve-rollouts``.

    What :class:`VLLMEngine` does in the trainer's process a server does in its own: it is started with the
    options of this configuration, compared with the trainer, given the weights when they have changed, and
    verified after. Every rank has a server of its own, which must be able to read the model's directory.

    Args:
        base_urls: One server a rank, e.g. ``http://127.0.0.1:8100``.
        allow_remote: Whether servers may be on other machines; frames, prompts and weights then leave this
            one, unencrypted over ``http``.
        timeout_s: Longest silence of a server; the first answers wait for its start.
        max_model_len: See :class:`VLLMEngine`, as all that follow.
        max_num_seqs: Answers decoded together.
        gpu_memory_utilization: Share of the server's device for vLLM.
        kv_cache_gb: Memory for keys and values in GB, instead.
        dtype: Of the server's weights; None takes the policy's.
        enforce_eager: Do not compile or capture CUDA graphs.
        sync_tolerance: Largest mean difference of log-probabilities after a hand-over.
    """

    def __init__(
        self,
        base_urls: Sequence[str] = ("http://127.0.0.1:8100",),
        allow_remote: bool = False,
        timeout_s: float = 1800.0,
        max_model_len: int = 16384,
        max_num_seqs: int = 256,
        gpu_memory_utilization: float = 0.9,
        kv_cache_gb: float | None = None,
        dtype: Literal["float32", "bfloat16"] | None = None,
        enforce_eager: bool = False,
        sync_tolerance: float | None = None,
    ) -> None:
        super().__init__(
            max_model_len=max_model_len,
            max_num_seqs=max_num_seqs,
            gpu_memory_utilization=gpu_memory_utilization,
            kv_cache_gb=kv_cache_gb,
            dtype=dtype,
            enforce_eager=enforce_eager,
            sync_tolerance=sync_tolerance,
        )
        for base_url in base_urls:
            is_local(base_url, allow_remote)
        self.base_urls = tuple(base_urls)
        self.timeout_s = timeout_s

    def _check_platform(self) -> None:
        """There is a server for this rank; vLLM itself is needed there alone."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, ranks = (
            (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
        )
        if len(self.base_urls) < ranks:
            raise UserError(
                f"{self.name}: {ranks} processes train and base_urls names {len(self.base_urls)} server(s); "
                "each process needs its own"
            )
        self._server = RemoteHost(self.base_urls[rank], self.timeout_s)

    def _start(self) -> Any:
        self._server.start(self.policy.path, self._options())
        return self._server
