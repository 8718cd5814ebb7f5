"""Decoding many answers behind few prompts: keys and values of a prompt are held once and read for all.

Repeating them for every answer would cost the memory of G prompts, and a copy of it at every token. Here the
answers of a prompt are so many queries against its one set of keys, and each answer keeps only its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

__all__ = ["FIRST_TOKENS", "DecodingState", "prefill"]

FIRST_TOKENS = 128
"""Of each answer, for which there is space at the start."""


class DecodingState:
    """R answers to M prompts in the middle of decoding.

    Attention runs over all n answers of the M prompts, of which R go on; everything else over these alone.

    Args:
        prompts: Keys and values of the prompts, a pair a layer, each ``[M, key-value heads, P, d]``.
        padding: ``[M, P]`` bool, True at the left padding of short prompts; None if there is none.
        next_position: ``[M]``, position of the first answer token on all three axes.
        hidden: ``[M, H]``, hidden states that predict the first answer tokens.
        n: Answers a prompt.
        limit: Most tokens of an answer.

    Attributes:
        hidden: ``[R, H]``, hidden states that predict the next token of each row.
    """

    def __init__(
        self,
        prompts: Sequence[tuple[torch.Tensor, torch.Tensor]],
        padding: torch.Tensor | None,
        next_position: torch.Tensor,
        hidden: torch.Tensor,
        n: int,
        limit: int,
    ) -> None:
        self.hidden = hidden.repeat_interleave(n, dim=0)
        self._n = n
        self._prompts = list(prompts)
        self._padding = None if padding is None else padding[:, None, None]
        self._next_position = next_position.repeat_interleave(n)
        # The last token of an answer is never forwarded.
        self._longest = limit - 1
        self._length = 0
        self._answers = [(self._room(keys), self._room(values)) for keys, values in prompts]
        self._places = torch.arange(len(self.hidden), device=hidden.device)  # of the rows among the M * n

    def _room(self, prompts: torch.Tensor) -> torch.Tensor:
        """Space for the first tokens of the answers, ``[M, key-value heads, n, tokens, d]``."""
        count, heads, _, width = prompts.shape
        return prompts.new_empty(count, heads, self._n, min(FIRST_TOKENS, self._longest), width)

    def _more_room(self) -> None:
        """Double the space for tokens: most answers end long before their limit."""
        grown = min(2 * self._length, self._longest) - self._length

        def more(held: torch.Tensor) -> torch.Tensor:
            return torch.cat([held, held.new_empty(*held.shape[:3], grown, held.shape[4])], dim=3)

        self._answers = [(more(keys), more(values)) for keys, values in self._answers]

    def select(self, index: torch.Tensor) -> None:
        """Keep only the given rows, in order, and the prompts that they are answers to."""
        self._next_position = self._next_position[index]
        self._places = self._places[index]
        kept, prompt = (self._places // self._n).unique(return_inverse=True)
        if len(kept) < len(self._prompts[0][0]):
            self._places = prompt * self._n + self._places % self._n
            self._prompts = [(keys[kept], values[kept]) for keys, values in self._prompts]
            self._answers = [(keys[kept], values[kept]) for keys, values in self._answers]
            self._padding = None if self._padding is None else self._padding[kept]

    def advance(self, policy: Any, tokens: torch.Tensor) -> None:
        """Append one token a row, ``[R]``."""
        if self._length == self._answers[0][0].shape[3]:
            self._more_room()
        out = policy.qwen.model.language_model(
            inputs_embeds=policy.qwen.get_input_embeddings()(tokens[:, None]),
            position_ids=self._next_position.expand(3, -1)[:, :, None],
            use_cache=False,
            decoding=self,
        )
        self.hidden = out.last_hidden_state[:, -1]
        self._next_position = self._next_position + 1
        self._length += 1

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """Attention of the rows' new tokens in one layer; the attention function calls it.

        Args:
            layer: Which.
            query: ``[R, heads, 1, d]``.
            key: ``[R, key-value heads, 1, d]``.
            value: As ``key``.
            scale: Of the scores.

        Returns:
            ``[R, 1, heads, d]``.
        """
        heads, repeats = key.shape[1], query.shape[1] // key.shape[1]
        prompt_keys, prompt_values = self._prompts[layer]
        keys, values = (tensor[:, :, :, : self._length + 1] for tensor in self._answers[layer])
        keys[:, :, :, -1] = self._placed(key, heads)
        values[:, :, :, -1] = self._placed(value, heads)
        asked = self._placed(query * scale, heads).contiguous()
        asked = asked.unflatten(3, (repeats, -1))  # [M, key-value heads, n, repeats, d]
        to_prompt = torch.matmul(asked.flatten(2, 3), prompt_keys.transpose(-1, -2))
        if self._padding is not None:
            to_prompt.masked_fill_(self._padding, float("-inf"))
        to_own = torch.matmul(asked, keys.transpose(-1, -2)).flatten(2, 3)
        weights = torch.cat((to_prompt, to_own), dim=-1).softmax(-1, dtype=torch.float32).to(value.dtype)
        seen, own = weights.split((to_prompt.shape[-1], to_own.shape[-1]), dim=-1)
        out = torch.matmul(seen, prompt_values).view(asked.shape)
        out = out + torch.matmul(own.unflatten(2, (self._n, repeats)), values)
        return out.transpose(1, 2).flatten(0, 1)[self._places].flatten(1, 2)[:, None]

    def _placed(self, rows: torch.Tensor, heads: int) -> torch.Tensor:
        """One token of each row where its answer stands, ``[M, heads, n, width of a head]``.

        Args:
            rows: ``[R, ..., 1, d]``.
            heads: That share the width.
        """
        flat = rows.flatten(1)
        count = len(self._prompts[0][0]) * self._n
        if len(flat) < count:
            flat = flat.new_zeros(count, flat.shape[1]).index_copy_(0, self._places, flat)
        return flat.view(-1, self._n, heads, flat.shape[1] // heads).transpose(1, 2)


def prefill(policy: Any, encoder: Any, prompts: Sequence[Any], n: int, limit: int) -> DecodingState:
    """Forward each prompt once, left-padded, to be answered ``n`` times with up to ``limit`` tokens."""
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
    padding = batch.attention_mask == 0
    return DecodingState(
        [(layer.keys, layer.values) for layer in cache.layers],
        padding if bool(padding.any()) else None,
        torch.tensor([prompt.next_position for prompt in prompts], device=policy.device),
        out.last_hidden_state[:, -1],
        n,
        limit,
    )
