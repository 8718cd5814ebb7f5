"""Bytes on one GPU, by what they hold.

Weights, gradients and optimizer follow from parameters; activations from the tensors that transformers'
layers keep for the backward pass under bfloat16 autocast (the tests count them). Left out: gradients of
activations on their way, workspaces, buffers of collectives, the CUDA context, fragmentation: leave a tenth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medgrpo.planning.four_bits import four_bit_bytes, largest_matrix
from medgrpo.planning.groups import group_tokens
from medgrpo.planning.parameters import parameters, trainable_parameters
from medgrpo.planning.shapes import ModelShape, TextShape
from medgrpo.planning.sizes import Gpu, RunSizes

if TYPE_CHECKING:
    from medgrpo.data.packed_batch import GroupLayout

__all__ = [
    "Bytes",
    "answer_kv",
    "generation_memory",
    "layer_activations",
    "logits_kept",
    "model_memory",
    "prompt_kv",
    "update_memory",
    "vllm_kv_tokens",
]

Bytes = dict[str, float]
"""What is held -> bytes."""


def model_memory(shape: ModelShape, sizes: RunSizes) -> Bytes:
    """Weights and what trains them, as the strategy shards them.

    Frozen weights are bfloat16; what is trained is float32, with gradients, AdamW's two moments, and for a
    full fine-tuning the bfloat16 copies that autocast makes for a forward. Under QLoRA the language layers'
    linear maps are in four bits, and one at a time is in bfloat16.
    """
    trained = trainable_parameters(shape, sizes.rank)
    frozen = sum(parameters(shape).values()) - (trained if sizes.rank is None else 0)
    one = sizes.gpus
    weights, optimizer = {"ddp": (1, 1), "zero2": (1, one), "fsdp2": (one, one)}[sizes.strategy]
    held = {
        "frozen weights, bfloat16": 2 * frozen / weights,
        "trained weights, float32": 4 * trained / weights,
        "gradients, float32": 4 * trained / optimizer,
        "AdamW, float32": 8 * trained / optimizer,
    }
    if sizes.quantize is not None:
        held["frozen weights, bfloat16"] -= 2 * shape.text.layers * shape.text.layer_weights
        held["frozen weights, four bits"] = four_bit_bytes(shape.text)
        held["one matrix out of four bits, bfloat16"] = largest_matrix(shape.text)
    if sizes.rank is None:
        held["copies of trained weights, bfloat16"] = 2 * trained / weights
    if sizes.strategy == "fsdp2":
        # One layer is computed with while the next arrives; embedding and head are whole meanwhile.
        held["gathered weights, bfloat16"] = 2.0 * (
            2 * shape.text.layer_weights + 2 * shape.text.vocabulary * shape.text.width
        )
    return held


def layer_activations(text: TextShape, sizes: RunSizes, layout: GroupLayout) -> float:
    """Bytes that one language layer keeps of one group for its backward pass."""
    width, query, wide = text.width, text.query_width, text.intermediate
    inputs = 2 * (5 * width + query + wide)  # of the seven linear maps, bfloat16
    adapters = 0 if sizes.rank is None else 7 * 2 * sizes.rank
    norms = 8 * width + 8 + (0 if sizes.rank is not None else 8 * width)  # float32; trained ones keep more
    heads = 4 * (query + text.kv_width) if text.qk_norm else 0
    qkv = 6 * query  # keys and values repeated for the query heads
    each = inputs + adapters + norms + heads + 6 * wide + qkv
    attended = 2 * query + 4 * text.heads  # output and log-sum-exp of a token
    total = group_tokens(sizes, layout) * (each + attended)
    if layout == "packed":
        answers = sizes.group * sizes.answer
        # The prompt's keys and values beside those of every answer, and the answers' queries as rows.
        total += 4 * query * sizes.group * (sizes.prompt + sizes.answer) + 2 * query * answers
    return float(total)


def logits_kept(text: TextShape, sizes: RunSizes) -> float:
    """Bytes of the float32 log-softmax of a group's answer tokens."""
    return 4.0 * sizes.group * sizes.answer * text.vocabulary


def update_memory(
    shape: ModelShape, sizes: RunSizes, layout: GroupLayout, checkpointing: bool = True
) -> Bytes:
    """Peak bytes of an update, the model's included."""
    text = shape.text
    groups = sizes.groups_per_batch
    layer = groups * layer_activations(text, sizes, layout)
    tokens = groups * group_tokens(sizes, layout)
    held = model_memory(shape, sizes)
    if checkpointing:
        # The residual stream has the dtype of the embedding, which is float32 where it is trained.
        held["inputs of the layers"] = (2.0 if sizes.rank else 4.0) * tokens * text.width * text.layers
        held["one layer, recomputed"] = layer
    else:
        held["activations of the layers"] = layer * text.layers
    chunk = min(sizes.logit_chunk, groups * sizes.group * sizes.answer)
    held["log-softmax of the answers"] = groups * logits_kept(text, sizes)
    held["one chunk of logits"] = 12.0 * chunk * text.vocabulary  # gradients, and the entropy's intermediates
    return held


def prompt_kv(text: TextShape, sizes: RunSizes, copies: int = 1) -> float:
    """Bytes of keys and values of the prompts that the hf engine answers at once.

    Args:
        text: Language model.
        sizes: Of the run.
        copies: How often a prompt is held; the engine holds it once, ``sizes.group`` times is what others do.
    """
    return float(sizes.decoded_together * copies * sizes.prompt * text.kv_bytes)


def answer_kv(text: TextShape, sizes: RunSizes) -> float:
    """Bytes of keys and values of the answers; the last token of an answer is never forwarded."""
    return float(sizes.decoded_together * sizes.group * (sizes.answer - 1) * text.kv_bytes)


def generation_memory(shape: ModelShape, sizes: RunSizes) -> Bytes:
    """Peak bytes of the hf engine, the model's included; optimizer state stays where it is."""
    text, tower = shape.text, shape.vision
    patches = sizes.decoded_together * sizes.visual * tower.patches_per_token
    tokens = sizes.decoded_together * sizes.prompt
    held = {name: size for name, size in model_memory(shape, sizes).items() if "gradients" not in name}
    held["keys and values of prompts, once"] = prompt_kv(text, sizes)
    held["keys and values of answers"] = answer_kv(text, sizes)
    # Of one MLP: gate, up and their product (a tower without a gate has two), beside the residual stream.
    held["one MLP of the prefill"] = max(
        2.0 * patches * ((3 if tower.gated else 2) * tower.intermediate + 2 * tower.width),
        2.0 * tokens * (3 * text.intermediate + 2 * text.width),
    )
    return held


def vllm_kv_tokens(shape: ModelShape, sizes: RunSizes, gpu: Gpu) -> float:
    """Tokens whose keys and values vLLM can hold; negative if its copy of the weights exceeds its share."""
    weights = 2 * sum(parameters(shape).values())
    return (gpu.memory * sizes.vllm_share - weights) / shape.text.kv_bytes
