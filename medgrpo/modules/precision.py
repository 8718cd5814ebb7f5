"""Number formats of weights in training: steps too small for them, and what a plugin may not cast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch.plugins.precision import DeepSpeedPrecision, HalfPrecision, Precision
from torch import nn

from medgrpo.errors import UserError
from medgrpo.modules.sharding import local_part

__all__ = ["ZeROPrecision", "refuse_casting_plugin", "refuse_lost_steps", "share_unchanged"]

LARGEST_SHARE = 0.1
"""Of the weights may be left as they are by a step."""

SAMPLE = 65536
"""Weights of a tensor that are looked at."""


def share_unchanged(weights: torch.Tensor, step: float) -> float:
    """Share of weights that a step of a size leaves as they are, for want of digits.

    A float with m bits behind the point keeps a weight w where the step is below ``2^-(m + 1)`` of the power
    of two under abs(w): with bfloat16 (m = 7) a weight of 0.02 needs steps of 6e-5.

    Args:
        weights: In the format in which they are kept.
        step: Absolute size; Adam's is about the learning rate, whatever the gradient.

    Returns:
        From 0 to 1; 0 for an empty tensor.
    """
    if not weights.numel():
        return 0.0
    exact = weights.double()
    moved = torch.where(exact > 0, exact - step, exact + step).to(weights.dtype)
    return float((moved == weights).double().mean())


def refuse_lost_steps(named: Iterable[tuple[str, nn.Parameter]], learning_rate: float) -> None:
    """End the run if the format of trainable weights swallows its steps.

    Args:
        named: Parameters with their names; frozen ones are passed over.
        learning_rate: At its height.

    Raises:
        UserError: If a step leaves more than a tenth of the trainable weights as they are.
    """
    lost = count = 0.0
    worst = (0.0, "")
    for name, parameter in named:
        if parameter.requires_grad and parameter.numel():
            weights = local_part(parameter.detach()).flatten()[:SAMPLE]
            share = share_unchanged(weights, learning_rate)
            lost, count = lost + share * parameter.numel(), count + parameter.numel()
            worst = max(worst, (share, f"{name} ({str(parameter.dtype).removeprefix('torch.')})"))
    if count and lost / count > LARGEST_SHARE:
        raise UserError(
            f"a step at the learning rate {learning_rate:g} is lost to rounding in {lost / count:.0%} of the "
            f"trainable weights, for example in {worst[0]:.0%} of {worst[1]}; raise the rate, or keep them "
            "in float32 (trainer.precision=bf16-mixed, with model.policy.dtype for the frozen ones)"
        )


def refuse_casting_plugin(plugin: Precision) -> None:
    """End the run under a precision that casts more than what is multiplied.

    Raises:
        UserError: If the plugin casts the whole module or the batches to half precision.
    """
    if isinstance(plugin, ZeROPrecision) or plugin.precision in ("32-true", "64-true"):
        return
    if isinstance(plugin, HalfPrecision | DeepSpeedPrecision):
        raise UserError(
            f"trainer.precision={plugin.precision} casts trainable weights, rotary frequencies or the stored "
            "log-probabilities of answers to half precision, where steps of a small learning rate and ratios "
            "are lost; use bf16-mixed (configs/trainer/gpu.yaml, ddp.yaml), 32-true with FSDP2 "
            "(fsdp2.yaml), or the plugin of deepspeed_zero2.yaml"
        )


class ZeROPrecision(DeepSpeedPrecision):
    """DeepSpeed's own bfloat16, as ``trainer.plugins``: without Lightning's casts, with losses scaled once.

    DeepSpeed keeps the weights in bfloat16 and float32 copies of the trainable ones in its optimizer, and
    leaves buffers alone. Lightning's plugin would cast log-probabilities and advantages to bfloat16 besides,
    and both would divide the loss by the micro-batches of a step, which changes what is clipped.
    """

    def __init__(self) -> None:
        super().__init__("bf16-mixed")

    def convert_input(self, data: Any) -> Any:
        """Leave the batch as it is."""
        return data

    def backward(self, tensor: torch.Tensor, model: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Gradients of a loss that Lightning has divided by the micro-batches of its step."""
        super().backward(tensor, model, optimizer, *args, scale_wrt_gas=False, **kwargs)
