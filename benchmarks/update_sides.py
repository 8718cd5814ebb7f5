"""One GRPO update as medgrpo and as TRL make it, over the same answers to the same video.

TRL 1.16 has no video arguments, so its model is handed the clip and our positions by a wrapper, with every
answer, as TRL hands over images. Its own ``_compute_loss`` runs, with its fused head and a single batch of G
rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import torch

from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.data.packed_batch import AnswerBatch
from medgrpo.modules.objectives import Denominators, LossInputs, Objective, policy_loss
from medgrpo.modules.policy import QwenVLPolicy

__all__ = ["Autocast", "TRLStep", "medgrpo_step", "trl_step"]

Autocast = Callable[[], AbstractContextManager[Any]]
"""Around the forward, not the backward, as trainers have it."""


def medgrpo_step(
    policy: QwenVLPolicy, batch: AnswerBatch, autocast: Autocast = nullcontext
) -> Callable[[], None]:
    """Ours, in the layout of the batch, which is on the policy's device."""
    rows, length = batch.completion_mask.shape
    advantages = torch.linspace(-1, 1, rows, device=policy.device)
    sizes = Denominators(rows, batch.completion_tokens, float(batch.completion_tokens), length)

    def step() -> None:
        with autocast():
            logps, entropy = policy.logps_and_entropy(batch)
        inputs = LossInputs(
            logps=logps,
            old_logps=logps.detach(),
            advantages=advantages,
            mask=batch.completion_mask,
            ref_logps=None,
            entropy=entropy,
        )
        policy_loss(inputs, Objective(), sizes)[0].backward()

    return step


class TRLStep:
    """TRL's loss on its own copy of the weights.

    Args:
        trainer: A ``GRPOTrainer`` with what its loss needs.
        model: Takes what TRL passes and adds the video.
        inputs: A micro-batch as TRL has it.
        autocast: Around the forward.
    """

    def __init__(
        self, trainer: Any, model: Callable[..., Any], inputs: dict[str, Any], autocast: Autocast
    ) -> None:
        self.trainer = trainer
        self.model = model
        self.inputs = inputs
        self.autocast = autocast

    def __call__(self) -> None:
        """One update."""
        with self.autocast():
            loss = self.trainer._compute_loss(self.model, self.inputs)
        loss.backward()

    @torch.no_grad()
    def logps(self) -> torch.Tensor:
        """Log-probabilities of the answers, ``[G, C]``."""
        of = self.inputs
        ids = torch.cat([of["prompt_ids"], of["completion_ids"]], dim=1)
        length = of["completion_ids"].shape[1]
        with self.autocast():
            found: torch.Tensor = self.trainer._get_per_token_logps_and_entropies(
                self.model, ids, torch.ones_like(ids), length, mm_token_type_ids=of["mm_token_type_ids"]
            )[0]
        return found


def trl_step(
    model: Any,
    encoder: Encoder,
    prompt: EncodedPrompt,
    answers: list[list[int]],
    autocast: Autocast = nullcontext,
) -> TRLStep:
    """TRL's side, with the video passed on with every answer.

    Args:
        model: As transformers built it, with or without adapters; it gets TRL's fused head.
        encoder: Made for that model.
        prompt: What is answered.
        answers: Token ids, all of one length.
        autocast: Around the forward.
    """
    from trl import GRPOTrainer
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(
        model.get_base_model() if hasattr(model, "get_base_model") else model,
        outputs=("log_probs", "entropy"),
    )
    rows, device = len(answers), next(model.parameters()).device
    pixels, grids = encoder.patches([prompt.clip])
    video = {
        "pixel_values_videos": pixels.repeat(rows, 1).to(device),
        "video_grid_thw": grids.repeat(rows, 1).to(device),
        "second_per_grid_ts": torch.full((rows,), 2 / prompt.clip.fps, device=device),
        "position_ids": encoder.collate([prompt] * rows, answers).position_ids.to(device),
    }
    prompt_ids = torch.from_numpy(prompt.ids).repeat(rows, 1)
    ids = torch.tensor(answers)
    kinds = torch.cat([2 * (prompt_ids == encoder.processor.video_token_id).int(), ids.int() * 0], dim=1)
    trainer = object.__new__(GRPOTrainer)
    values: dict[str, Any] = {
        "aux_loss_enabled": False,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "importance_sampling_level": "token",
        "beta": 0.0,
        "args": SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        "loss_type": "grpo",
        "epsilon_low": 0.2,
        "epsilon_high": 0.3,
        "use_vllm": False,
        "vllm_importance_sampling_correction": False,
        "max_completion_length": ids.shape[1],
        "current_gradient_accumulation_steps": 1,
        "_entropy_bonus_enabled": False,
        "use_adaptive_entropy": False,
        "model": SimpleNamespace(training=True),
        "accelerator": SimpleNamespace(
            num_processes=1,
            is_main_process=False,  # nothing is logged
            sync_gradients=True,
            reduce=lambda t, reduction: t,
            gather=lambda t: t,
            autocast=nullcontext,
        ),
        "_metrics": {"train": defaultdict(list)},
    }
    for name, value in values.items():
        object.__setattr__(trainer, name, value)
    inputs = {
        "prompt_ids": prompt_ids.to(device),
        "prompt_mask": torch.ones_like(prompt_ids).to(device),
        "completion_ids": ids.to(device),
        "completion_mask": torch.ones_like(ids).to(device),
        "advantages": torch.linspace(-1, 1, rows, device=device),
        "num_items_in_batch": torch.tensor(ids.numel(), device=device),
        "mm_token_type_ids": kinds.to(device),
    }
    return TRLStep(trainer, lambda **given: model(**given, **video), inputs, autocast)
