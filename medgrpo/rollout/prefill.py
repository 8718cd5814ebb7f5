"""The decoding state after the prompts: keys and values, repeated for the answers of each prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["DecodingState", "prefill"]


@dataclass
class DecodingState:
    """R rows in the middle of decoding.

    Attributes:
        cache: Keys and values of the tokens so far (a transformers ``DynamicCache``).
        attention_mask: ``[R, tokens so far]``, 0 at left padding.
        next_position: ``[R]``, position of the next token on all three axes.
        hidden: ``[R, H]``, hidden state that predicts the first answer token.
    """

    cache: Any
    attention_mask: torch.Tensor
    next_position: torch.Tensor
    hidden: torch.Tensor

    def select(self, index: torch.Tensor) -> None:
        """Keep only the given rows."""
        self.cache.batch_select_indices(index)
        self.attention_mask = self.attention_mask[index]
        self.next_position = self.next_position[index]

    def advance(self, policy: Any, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token a row and return the hidden states that predict the next, ``[R, H]``."""
        self.attention_mask = torch.cat(
            [self.attention_mask, self.attention_mask.new_ones(len(tokens), 1)], dim=1
        )
        out = policy.qwen.model.language_model(
            inputs_embeds=policy.qwen.get_input_embeddings()(tokens[:, None]),
            attention_mask=self.attention_mask,
            position_ids=self.next_position.expand(3, -1)[:, :, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.next_position = self.next_position + 1
        return out.last_hidden_state[:, -1]


def prefill(policy: Any, encoder: Any, prompts: Sequence[Any], n: int) -> DecodingState:
    """Forward each prompt once, left-padded, and repeat the result ``n`` times."""
    from transformers import DynamicCache

    batch = encoder.collate(prompts, pad="left").to(policy.device)
    cache = DynamicCache(config=policy.qwen.config.text_config)
    out = policy.qwen.model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        position_ids=batch.position_ids,
        mm_encoder_outputs=policy.vision(batch),
        past_key_values=cache,
        use_cache=True,
    )
    cache.batch_repeat_interleave(n)
    return DecodingState(
        cache=cache,
        attention_mask=batch.attention_mask.repeat_interleave(n, dim=0),
        next_position=torch.tensor(
            [p.next_position for p in prompts], device=policy.device
        ).repeat_interleave(n),
        hidden=out.last_hidden_state[:, -1].repeat_interleave(n, dim=0),
    )
