"""FLOPs of a round by phase.

A product of matrices ``[m, k]`` and ``[k, n]`` is 2mkn. Attention is counted over the pairs of query and key
that see each other; a kernel that computes the masked half too does more. Left out: normalisation, rotary
embedding, softmax, sampling, the optimizer (all bound by memory), what a flash kernel recomputes in its
backward pass, and that queries, keys and values of the first layer send no gradient to frozen embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medgrpo.planning.groups import causal_pairs, group_pairs, group_tokens
from medgrpo.planning.parameters import lora_parameters
from medgrpo.planning.shapes import ModelShape, TextShape
from medgrpo.planning.sizes import RunSizes

if TYPE_CHECKING:
    from medgrpo.data.packed_batch import GroupLayout

__all__ = ["Flops", "decode", "prefill", "round_work", "score", "update", "vision"]


@dataclass(frozen=True)
class Flops:
    """FLOPs of a phase.

    Attributes:
        linear: Of products with weights.
        attention: Of products of queries, keys and values.
    """

    linear: float
    attention: float

    @property
    def total(self) -> float:
        """Both."""
        return self.linear + self.attention

    def times(self, factor: float) -> Flops:
        """So many of them."""
        return Flops(self.linear * factor, self.attention * factor)

    def plus(self, other: Flops) -> Flops:
        """Both phases."""
        return Flops(self.linear + other.linear, self.attention + other.attention)


def vision(shape: ModelShape, sizes: RunSizes) -> Flops:
    """Encoding one clip. Windows are taken as full, which is an upper bound where they cross the border."""
    tower = shape.vision
    patches = sizes.visual * tower.patches_per_token
    frame = min(sizes.frame, sizes.visual) * tower.patches_per_token
    window = frame if tower.window is None else min(frame, tower.window)
    seen = tower.full_blocks * frame + (tower.depth - tower.full_blocks) * window
    weights = tower.patch_values * tower.width + tower.depth * tower.block_weights
    projectors = (1 + tower.deepstack) * tower.projector_weights
    return Flops(2 * patches * weights + 2 * sizes.visual * projectors, 4 * tower.width * patches * seen)


def prefill(shape: ModelShape, sizes: RunSizes) -> Flops:
    """Forwarding one prompt and taking the logits of its last token."""
    layers = _layers(shape.text, sizes, sizes.prompt, causal_pairs(sizes.prompt))
    return layers.plus(_head(shape.text, 1))


def decode(shape: ModelShape, sizes: RunSizes) -> Flops:
    """Decoding the answers to one prompt behind their first tokens, which the prefill gives."""
    steps = sizes.answer - 1
    pairs = sizes.group * (steps * sizes.prompt + causal_pairs(steps))
    tokens = sizes.group * steps
    return _layers(shape.text, sizes, tokens, pairs).plus(_head(shape.text, tokens))


def score(shape: ModelShape, sizes: RunSizes, layout: GroupLayout) -> Flops:
    """Log-probabilities of one group without gradients, its clip not counted."""
    tokens, pairs = group_tokens(sizes, layout), group_pairs(sizes, layout)
    return _layers(shape.text, sizes, tokens, pairs).plus(_head(shape.text, sizes.group * sizes.answer))


def update(shape: ModelShape, sizes: RunSizes, layout: GroupLayout, checkpointing: bool = True) -> Flops:
    """Log-probabilities of one group and their backward pass, its clip not counted.

    Backward, a product with a weight costs one more for the gradient of its input and, where the weight is
    trained, another for its own. Attention costs two more.

    Args:
        shape: Of the model.
        sizes: Of the run.
        layout: Of the group.
        checkpointing: The layers are forwarded once more in the backward pass.
    """
    text = shape.text
    tokens, pairs = group_tokens(sizes, layout), group_pairs(sizes, layout)
    forwards = 2 if checkpointing else 1
    weight_gradient = 1 if sizes.rank is None else 0
    base = _base(text, tokens).times(forwards + 1 + weight_gradient)
    if checkpointing and sizes.rank is None:
        # Recomputation stops at the last tensor that is needed, before the layer's last product.
        base = base.plus(Flops(-2.0 * tokens * text.layers * text.intermediate * text.width, 0))
    adapters = _adapters(text, sizes, tokens).times(forwards + 2)
    attention = _attention(text, pairs).times(forwards + 2)
    head = _head(text, sizes.group * sizes.answer).times(2 + weight_gradient)
    return base.plus(adapters).plus(attention).plus(head)


def round_work(shape: ModelShape, sizes: RunSizes, layout: GroupLayout) -> dict[str, Flops]:
    """FLOPs of a round by phase, all GPUs together, with gradient checkpointing.

    Each clip is encoded once to generate, once to score where that is done, once to update, in both layouts.
    """
    scored = 1 if sizes.optimizer_steps > 1 else 0
    one = {
        "vision": vision(shape, sizes).times(2 + scored),
        "prompt prefill": prefill(shape, sizes),
        "decode": decode(shape, sizes),
        "old log-probabilities": score(shape, sizes, layout).times(scored),
        "update": update(shape, sizes, layout),
    }
    return {phase: flops.times(sizes.prompts) for phase, flops in one.items()}


def _layers(text: TextShape, sizes: RunSizes, tokens: int, pairs: float) -> Flops:
    """One forward of all layers."""
    return _base(text, tokens).plus(_adapters(text, sizes, tokens)).plus(_attention(text, pairs))


def _base(text: TextShape, tokens: int) -> Flops:
    return Flops(2 * tokens * text.layers * text.layer_weights, 0)


def _adapters(text: TextShape, sizes: RunSizes, tokens: int) -> Flops:
    return Flops(0 if sizes.rank is None else 2 * tokens * lora_parameters(text, sizes.rank), 0)


def _attention(text: TextShape, pairs: float) -> Flops:
    return Flops(0, 4 * text.layers * text.query_width * pairs)


def _head(text: TextShape, tokens: int) -> Flops:
    return Flops(2 * tokens * text.width * text.vocabulary, 0)
