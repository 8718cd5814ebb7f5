"""Rollouts through vLLM: an engine in this process, on this rank's device, that follows the training weights.

Its log-probabilities are those of :meth:`QwenVLPolicy.logps`: temperature, banned ids at -inf, float32, no
top-k, top-p or penalty, nothing of the checkpoint's ``generation_config.json``. Before its first answers it
is compared with the trainer on a real prompt (ids, positions, video grid), and a difference ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal

import torch

from medgrpo.errors import MissingExtraError, UserError
from medgrpo.rollout.engine import RolloutEngine
from medgrpo.rollout.failures import engine_failures, guarded
from medgrpo.rollout.handover import PromptView, differences, hand_over, videos_per_clip
from medgrpo.rollout.noise import joint_seed
from medgrpo.rollout.sync_check import check_sync, tolerance
from medgrpo.rollout.vllm_host import VLLMHost
from medgrpo.rollout.vllm_process import can_sleep, rank_options
from medgrpo.rollout.vllm_request import check_request, completion, sampling_options
from medgrpo.types import Completion

__all__ = ["VLLMEngine"]


class VLLMEngine(RolloutEngine):
    """Samples with vLLM; the weights are handed over whenever they have changed.

    With several ranks each has an engine of its own for its own prompts. The engine starts at the first
    answers, when the policy is on its device.

    Args:
        max_model_len: Longest prompt with its answer, in tokens, and the most that are forwarded at once, so
            that the clip of every prompt that fits is encoded in one go. At most what the model was made for.
        max_num_seqs: Answers decoded together.
        gpu_memory_utilization: Share of the device's memory (of the machine's, on a CPU) for vLLM's copy of
            the weights and its keys and values; the rest is the trainer's.
        kv_cache_gb: Memory for keys and values in GB, instead of what ``gpu_memory_utilization`` leaves.
        dtype: Of vLLM's copy of the weights; None takes the policy's.
        enforce_eager: Do not compile or capture CUDA graphs: a faster start, slower answers.
        sleep_level: What becomes of the engine's memory during the update: 0 keeps all, 1 moves its weights
            to the CPU and drops keys and values, 2 drops both, and weights are handed over every time.
        sync_tolerance: Largest mean difference, in nats a token, between the engine's and the trainer's
            log-probabilities of answers after a hand-over; None takes what rounding explains.
    """

    def __init__(
        self,
        max_model_len: int = 16384,
        max_num_seqs: int = 256,
        gpu_memory_utilization: float = 0.4,
        kv_cache_gb: float | None = None,
        dtype: Literal["float32", "bfloat16"] | None = None,
        enforce_eager: bool = False,
        sleep_level: Literal[0, 1, 2] = 0,
        sync_tolerance: float | None = None,
    ) -> None:
        self.max_model_len = max_model_len
        self.max_num_seqs = max_num_seqs
        self.gpu_memory_utilization = gpu_memory_utilization
        self.kv_cache_gb = kv_cache_gb
        self.dtype = dtype
        self.enforce_eager = enforce_eager
        self.sleep_level = sleep_level
        self.sync_tolerance = sync_tolerance
        self.name = type(self).__name__
        self.policy: Any = None
        self.encoder: Any = None
        self._host: Any = None
        self._weights: str | None = None
        self._compared = self._verified = False

    def bind(self, policy: Any, encoder: Any) -> None:
        """Take the policy to sample from and the encoder that made the prompts.

        Raises:
            MissingExtraError: If vLLM is not installed.
            UserError: If the engine shall sleep where vLLM cannot.
        """
        self._check_platform()
        if policy is not self.policy:
            self._host = self._weights = None
        self.policy, self.encoder, self._compared = policy, encoder, False

    def _check_platform(self) -> None:
        if find_spec("vllm") is None:
            raise MissingExtraError("vllm", "vllm")
        if self.sleep_level > 0 and not can_sleep():
            raise UserError(f"{self.name}: vLLM cannot sleep on this platform; set sleep_level to 0")

    def generate(
        self,
        prompts: Sequence[Any],
        *,
        n: int,
        max_new_tokens: Sequence[int] | int,
        temperature: float,
        seeds: Sequence[int],
        progress: Callable[[int], object] | None = None,
    ) -> list[list[Completion]]:
        """See :meth:`RolloutEngine.generate`.

        Raises:
            UserError: If vLLM cannot start, computes another prompt than the trainer, cannot sample at the
                temperature, a prompt with its answer is longer than ``max_model_len``, or the answers did not
                come from the policy's weights.
            EngineError: If vLLM fails.
        """
        limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else list(max_new_tokens)
        check_request(self.name, prompts, limits, temperature, self.max_model_len)
        if prompts and not self._compared:
            self._compare(prompts[0])
        requests = [
            self._request(prompt, n, limit, temperature)
            for prompt, limit in zip(prompts, limits, strict=True)
        ]
        seed = joint_seed(seeds)
        found: dict[int, list[Completion]] = {}
        with self._ready() as host:
            for place, answers in guarded(self.name, host.answers(requests, seed)):
                found[place] = [completion(self.encoder, ids, logps) for ids, logps in answers]
                if progress is not None:
                    progress(1)
        groups = [found[place] for place in range(len(requests))]
        if groups and not self._verified:
            self._verify(prompts, groups, temperature)
        return groups

    def view(self, prompt: Any) -> PromptView:
        """What vLLM computes of a prompt, recorded while it answers with one token.

        Raises:
            UserError: If vLLM asks its model for no positions, as another version of it might.
        """
        with self._ready() as host, engine_failures(self.name):
            views = host.view(*self._request(prompt, n=1, limit=1, temperature=0.0))
        if not views:
            raise UserError(
                f"{self.name}: this version of vLLM does not let its positions be compared with ours"
            )
        return views[0]

    def _compare(self, prompt: Any) -> None:
        """End the run if vLLM computes another prompt than the trainer."""
        found = differences(self.encoder, prompt, self.view(prompt))
        if found:
            raise UserError(
                f"{self.name}: on row {prompt.sample.row} ({prompt.sample.id}) vLLM and the trainer differ "
                f"in {'; '.join(found)}; answers would come from another model than the one in training"
            )
        self._compared = True

    def _verify(
        self, prompts: Sequence[Any], groups: Sequence[Sequence[Completion]], temperature: float
    ) -> None:
        """End the run if the first answers after a hand-over did not come from its weights."""
        limit = self.sync_tolerance
        if limit is None:
            limit = tolerance(self.policy, self.dtype or self.policy.dtype_name)
        check_sync(
            self.policy, self.encoder, prompts, groups, engine=self.name, temperature=temperature, limit=limit
        )
        self._verified = True

    def _request(self, prompt: Any, n: int, limit: int, temperature: float) -> tuple[Any, Any]:
        options = sampling_options(self.policy, self.encoder, n, limit, temperature)
        return hand_over(self.encoder, prompt), options

    @contextmanager
    def _ready(self) -> Iterator[Any]:
        """The engine with the policy's weights; random state and precision outside stay as they are."""
        from lightning.pytorch.utilities.seed import isolate_rng

        with isolate_rng(), torch.autocast(self.policy.device.type, enabled=False):
            try:
                with engine_failures(self.name):
                    self._wake()
                yield self._host
                with engine_failures(self.name):
                    self._sleep()
            except BaseException:
                # Requests of a broken call would stay in its queue for ever.
                self._host = self._weights = None
                raise

    def _wake(self) -> None:
        """Start or wake the engine, with the weights of the moment."""
        if self._host is None:
            self._host = self._start()
        asleep = self._host.asleep
        if asleep:
            if self.policy.device.type == "cuda":
                torch.cuda.empty_cache()  # what the trainer keeps for its next update
            self._host.wake("weights")
        fingerprint = self.policy.fingerprint()
        if fingerprint != self._weights:
            self._load_weights()
            self._weights = fingerprint
        if asleep:
            # Not before: loading weights takes memory that keys and values leave.
            self._host.wake("kv_cache")

    def _sleep(self) -> None:
        """Leave the device's memory to the update."""
        if self.sleep_level > 0:
            self._host.sleep(self.sleep_level)
        if self.sleep_level > 1:
            self._weights = None

    def _load_weights(self) -> None:
        self._verified = False
        self._host.load(self.policy.merged_weights())

    def _start(self) -> Any:
        return VLLMHost(self.policy.path, self._options() | rank_options(self.policy.device))

    def _options(self) -> dict[str, Any]:
        """Arguments of ``vllm.LLM`` that the configuration decides."""
        return {
            "dtype": self.dtype or self.policy.dtype_name,
            "max_model_len": self.max_model_len,
            "max_num_batched_tokens": max(self.max_model_len, self.max_num_seqs),
            "max_num_seqs": self.max_num_seqs,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "kv_cache_memory_bytes": None if self.kv_cache_gb is None else round(self.kv_cache_gb * 1e9),
            "enforce_eager": self.enforce_eager,
            "enable_sleep_mode": self.sleep_level > 0,
            "limit_mm_per_prompt": {"video": videos_per_clip(self.encoder), "image": 0},
        }
