"""The policy: a Qwen-VL model behind one forward that takes our positions and encodes each clip once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from medgrpo.data.encode import Encoder
from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.packed_batch import AnswerBatch, GroupLayout, PackedBatch
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError
from medgrpo.modules.hf_weights import merged_weights, write_directory
from medgrpo.modules.model_directory import encoder_of, read_processor
from medgrpo.modules.patch_embedding import use_linear_patch_embedding
from medgrpo.modules.quantization import Quantization, four_bit_options
from medgrpo.modules.sharding import whole
from medgrpo.modules.shared_prefix import GroupAttention, use_grouped_attention
from medgrpo.modules.vision_attention import use_batched_windows
from medgrpo.modules.weight_hash import weights_hash

__all__ = ["LoRA", "QwenVLPolicy"]


@dataclass
class LoRA:
    """Low-rank adapters on the language model.

    Attributes:
        rank: Rank of the update.
        alpha: Scale; the update is multiplied by alpha / rank.
        dropout: Dropout in front of the adapter.
        target_modules: Linear layers of the language model that get an adapter.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    target_modules: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


class QwenVLPolicy(nn.Module):
    """A Qwen2.5-VL or Qwen3-VL checkpoint as a policy.

    Weights are loaded by :meth:`setup`, not by the constructor, so that a configuration can be parsed and
    printed without them.

    Args:
        path: Hugging Face directory (config, weights, tokenizer, processor).
        lora: Train adapters instead of the language model's own weights.
        freeze_vision: Keep the vision tower and its projector as they are.
        dtype: Of the frozen weights and the forward; trainable weights stay in float32, because a learning
            rate of 5e-7 is lost to rounding in bfloat16.
        attention: Attention implementation of transformers, e.g. ``sdpa`` or ``flash_attention_2``.
        gradient_checkpointing: Recompute activations in the backward pass.
        logit_chunk: Answer tokens whose logits are held at once, which bounds peak memory by
            ``logit_chunk * vocabulary``.
        group_layout: ``packed`` forwards the prompt of a group once and its answers behind it; ``rows``
            forwards it with every answer, several times slower, for comparison.
        group_attention: Kernel of packed groups: ``sdpa`` anywhere, ``flex`` (FlexAttention) on GPUs.
        quantize: Keep the language model's own weights in four bits while adapters are trained (QLoRA); needs
            the extra qlora.
    """

    def __init__(
        self,
        path: str,
        lora: LoRA | None = None,
        freeze_vision: bool = False,
        dtype: Literal["float32", "bfloat16"] = "float32",
        attention: str = "sdpa",
        gradient_checkpointing: bool = False,
        logit_chunk: int = 4096,
        group_layout: GroupLayout = "packed",
        group_attention: GroupAttention = "sdpa",
        quantize: Quantization | None = None,
    ) -> None:
        super().__init__()
        if quantize is not None and lora is None:
            raise ValueError("policy.quantize keeps weights as they are: set policy.lora to train adapters")
        self.path = path
        self.lora = lora
        self.freeze_vision = freeze_vision
        self.dtype_name = dtype
        self.attention = attention
        self.gradient_checkpointing = gradient_checkpointing
        self.logit_chunk = logit_chunk
        self.group_layout = group_layout
        self.group_attention = group_attention
        self.quantize = quantize
        self.model: Any = None
        self.processor: Any = None

    def setup(self) -> None:
        """Load processor and weights; does nothing the second time.

        Raises:
            UserError: If the directory is missing or holds another kind of model.
            MissingExtraError: If it is to be quantized and bitsandbytes is not installed.
        """
        if self.model is not None:
            return
        from transformers import AutoModelForImageTextToText

        directory = Path(self.path)
        _, self.processor = read_processor(directory)
        try:
            dtype = getattr(torch, self.dtype_name)
            model = AutoModelForImageTextToText.from_pretrained(
                directory,
                local_files_only=True,
                dtype=dtype,
                attn_implementation=self.attention,
                **({} if self.quantize is None else four_bit_options(dtype)),
            )
        except (OSError, ValueError) as error:
            raise UserError(f"policy.path: cannot load {directory}: {str(error).splitlines()[0]}") from error
        self.adopt(model)

    def adopt(self, model: Any) -> None:
        """Give a model the policy's kernels and adapters, and choose what of it is trained.

        Args:
            model: Qwen-VL as transformers built it, with weights or on the meta device.
        """
        use_grouped_attention(model, self.group_attention)
        use_linear_patch_embedding(model)
        use_batched_windows(model)
        if self.lora is not None:
            from peft import LoraConfig, get_peft_model

            adapter = LoraConfig(
                r=self.lora.rank,
                lora_alpha=self.lora.alpha,
                lora_dropout=self.lora.dropout,
                # The language model only: vLLM serves no adapters on the vision tower.
                target_modules=rf".*language_model.*\.({'|'.join(self.lora.target_modules)})",
            )
            model = get_peft_model(model, adapter)
            if not self.freeze_vision:
                self._inner(model).model.visual.requires_grad_(True)
        elif self.freeze_vision:
            model.model.visual.requires_grad_(False)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if self.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            # transformers lets gradients flow into every embedding, of patches too, which only the reentrant
            # kind needs: a frozen vision tower would be recomputed and differentiated.
            self._inner(model).disable_input_require_grads()
        # Loaded in evaluation mode, which Lightning keeps; dropout and checkpointing need the other.
        self.model = model.train()

    @staticmethod
    def _inner(model: Any) -> Any:
        """The Qwen-VL model itself, without the adapter wrapper."""
        return model.get_base_model() if hasattr(model, "get_base_model") else model

    @property
    def qwen(self) -> Any:
        """The Qwen-VL model itself, without the adapter wrapper."""
        if self.model is None:
            raise RuntimeError("QwenVLPolicy.setup() must run before the model is used")
        return self._inner(self.model)

    @property
    def family(self) -> str:
        """``qwen2_5_vl`` or ``qwen3_vl``."""
        return str(self.qwen.config.model_type)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.qwen.parameters()).device

    @property
    def banned_ids(self) -> list[int]:
        """Ids that no answer may hold: a sampled vision token would ask for features that are not there."""
        config = self.qwen.config
        names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
        return sorted({getattr(config, name) for name in names})

    def encoder(
        self, sampling: SamplingPolicy, *, cache: FrameCache | None = None, **options: Any
    ) -> Encoder:
        """An encoder that matches this model.

        Args:
            sampling: Frames and sizes; its factor must be the model's own patch * merge.
            cache: Of resized frames.
            **options: Further arguments of :class:`Encoder`.

        Raises:
            UserError: If the sampling policy rounds sizes to another factor than the model's.
        """
        return encoder_of(
            self.path,
            self.qwen.config,
            self.processor,
            sampling,
            cache=cache,
            group_layout=self.group_layout,
            **options,
        )

    def vision(self, batch: AnswerBatch) -> dict[str, Any]:
        """Encode each distinct clip once and lay its features out for the prompts that share it."""
        out = self.qwen.model.get_video_features(
            batch.pixel_values_videos, batch.video_grid_thw, return_dict=True
        )
        rows = batch.clip_index.tolist()
        out.pooler_output = tuple(out.pooler_output[i] for i in rows)
        if getattr(out, "deepstack_features", None) is not None:
            out.deepstack_features = [tuple(level[i] for i in rows) for level in out.deepstack_features]
        return {"video": out}

    def hidden(self, batch: AnswerBatch) -> torch.Tensor:
        """Last hidden states, ``[B, L, H]``; ``[1, N, H]`` of a packed batch."""
        seen = (
            {"groups": batch.groups}
            if isinstance(batch, PackedBatch)
            else {"attention_mask": batch.attention_mask}
        )
        return self.qwen.model(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            mm_encoder_outputs=self.vision(batch),
            use_cache=False,
            **seen,
        ).last_hidden_state

    def next_token_logits(self, hidden: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """Logits over the next token in float32, divided by the temperature, banned ids at -inf.

        Args:
            hidden: ``[..., H]``.
            temperature: Of the sampling distribution.
        """
        logits = self.qwen.lm_head(hidden).float() / temperature
        banned = torch.tensor(self.banned_ids, dtype=torch.int64, device=logits.device)
        return logits.index_fill(-1, banned, float("-inf"))

    def logps(self, batch: AnswerBatch, temperature: float = 1.0) -> torch.Tensor:
        """Log-probability of each answer token, ``[B, L]``, 0 outside the answers; differentiable."""
        return self.logps_and_entropy(batch, temperature)[0]

    def logps_and_entropy(
        self, batch: AnswerBatch, temperature: float = 1.0, *, entropy_gradient: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities and the entropy of the distribution they came from.

        Args:
            batch: Prompts with answers, as rows or packed.
            temperature: Divides the logits before the softmax, as at sampling.
            entropy_gradient: Keep what a gradient through the entropy needs, for an entropy bonus.

        Returns:
            Log-probabilities (the value at an answer token is its own) and entropies in nats, both of the
            shape of ``batch.completion_mask`` and 0 outside the answers.
        """
        hidden = self.hidden(batch)
        # Logits at answer positions only: prompt positions times vocabulary would dominate the memory.
        predictors = hidden.flatten(0, 1)[batch.predictors]
        targets = batch.targets
        logps, entropies = [], []
        for start in range(0, len(targets), self.logit_chunk):
            chunk = slice(start, start + self.logit_chunk)
            distribution = torch.log_softmax(self.next_token_logits(predictors[chunk], temperature), dim=-1)
            logps.append(distribution.gather(-1, targets[chunk, None]).squeeze(-1))
            with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
                entropies.append(-(distribution.exp() * distribution.nan_to_num(neginf=0.0)).sum(-1))
        shape = batch.completion_mask.shape
        out = hidden.new_zeros(shape, dtype=torch.float32)
        entropy = hidden.new_zeros(shape, dtype=torch.float32)
        if logps:
            out = out.masked_scatter(batch.completion_mask, torch.cat(logps))
            entropy = entropy.masked_scatter(batch.completion_mask, torch.cat(entropies))
        return out, entropy

    def merged_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Each weight under its name in a checkpoint, adapters folded in, without a copy of the model.

        Where weights are in pieces, all ranks must go through it together.
        """
        return merged_weights(self.qwen)

    def save_hf(self, directory: str | Path, *, merge: bool = True) -> None:
        """Write a Hugging Face directory; where weights are in pieces, all ranks call it and rank 0 writes.

        Args:
            directory: Created if missing.
            merge: Fold adapters into the weights; False writes the adapter alone.

        Raises:
            UserError: If the adapter alone would leave out other weights that were trained.
        """
        write_directory(self, directory, merge=merge)

    def fingerprint(self) -> str:
        """Short hash of the trainable weights, which names a policy in the rollout store."""
        trained = sorted((n, p) for n, p in self.named_parameters() if p.requires_grad)
        return weights_hash((name, whole(parameter)) for name, parameter in trained)
