"""Rollouts from the training weights themselves, without a second engine.

The prompt is forwarded once and its keys and values serve all n answers; rows that have ended leave the
batch. Positions are passed at every step, so nothing depends on what transformers would infer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from medgrpo.rollout.decoding import prefill
from medgrpo.rollout.engine import RolloutEngine
from medgrpo.rollout.noise import choose_tokens, uniforms
from medgrpo.types import Completion

__all__ = ["HFEngine"]


class HFEngine(RolloutEngine):
    """Samples with the policy's own forward.

    Args:
        max_rows: Answers decoded together; prompts are taken in groups of ``max_rows // n``.
    """

    needs_whole_weights: ClassVar[bool] = True

    def __init__(self, max_rows: int = 128) -> None:
        self.max_rows = max_rows
        self.policy: Any = None
        self.encoder: Any = None

    def bind(self, policy: Any, encoder: Any) -> None:
        """Take the policy to sample from and the encoder that made the prompts."""
        self.policy = policy
        self.encoder = encoder

    @torch.inference_mode()
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
        """See :meth:`RolloutEngine.generate`."""
        # Not only without gradients: small operations also cost less in inference mode.
        limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else list(max_new_tokens)
        # Prompts of similar limits are decoded together, so short answers do not wait for long ones.
        order = sorted(range(len(prompts)), key=lambda i: (limits[i], len(prompts[i].ids), i))
        size = max(1, self.max_rows // n)
        training = self.policy.training
        self.policy.eval()
        results: list[list[Completion]] = [[] for _ in prompts]
        try:
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                longest = max(limits[i] for i in chosen)
                noise = uniforms([seeds[i] for i in chosen], n, longest) if temperature > 0 else None
                groups = self._group(
                    [prompts[i] for i in chosen], [limits[i] for i in chosen], n, temperature, noise
                )
                for index, group in zip(chosen, groups, strict=True):
                    results[index] = group
                if progress is not None:
                    progress(len(chosen))
        finally:
            self.policy.train(training)
        return results

    def _group(
        self,
        prompts: Sequence[Any],
        limits: Sequence[int],
        n: int,
        temperature: float,
        noise: torch.Tensor | None,
    ) -> list[list[Completion]]:
        """Decode ``len(prompts) * n`` rows to their end."""
        state = prefill(self.policy, self.encoder, prompts, n, max(limits))
        device = state.hidden.device
        rows = len(prompts) * n
        limit = torch.tensor(limits, device=device).repeat_interleave(n)
        tokens: list[list[int]] = [[] for _ in range(rows)]
        logps: list[list[float]] = [[] for _ in range(rows)]
        ended = [False] * rows
        active = torch.arange(rows, device=device)
        chance = None if noise is None else noise.to(device)
        step = 0
        while True:
            logits = self.policy.next_token_logits(state.hidden, temperature if temperature > 0 else 1.0)
            distribution = torch.log_softmax(logits, dim=-1)
            # At temperature 0 the likeliest, else a sample: top-k or top-p would bias the ratio.
            chosen = (
                distribution.argmax(-1)
                if chance is None
                else choose_tokens(distribution, chance[active, step])
            )
            chosen_logps = distribution.gather(-1, chosen[:, None]).squeeze(-1)
            stopped = chosen == self.encoder.eos_token_id
            step += 1
            keep = ~stopped & (step < limit[active])
            for row, token, logp, stop in zip(
                active.tolist(), chosen.tolist(), chosen_logps.tolist(), stopped.tolist(), strict=True
            ):
                tokens[row].append(token)
                logps[row].append(logp)
                ended[row] = stop
            if not bool(keep.any()):
                break
            if not bool(keep.all()):
                index = keep.nonzero().squeeze(-1)
                active, chosen = active[index], chosen[index]
                state.select(index)
            state.advance(self.policy, chosen)
        completions = [
            Completion(self.encoder.decode(ids), tuple(ids), tuple(lp), "stop" if done else "length")
            for ids, lp, done in zip(tokens, logps, ended, strict=True)
        ]
        return [completions[i * n : (i + 1) * n] for i in range(len(prompts))]
