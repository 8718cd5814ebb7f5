"""A language model in this process that fills the blanks of a fixed form, so that no reply can be unreadable.

The fixed text of a form is given to the model, never sampled. A free text ends at the quotation mark that
closes its field, a choice is the likeliest of its options. Greedy throughout: equal questions get equal
forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm import tqdm

from medgrpo.errors import UserError

__all__ = ["Choice", "FormFiller", "FreeText"]

_ENDS = ('"', "\n")


@dataclass(frozen=True, slots=True)
class FreeText:
    """A blank for words, up to a quotation mark, a line's end or so many tokens.

    Attributes:
        before: Fixed text in front of it.
        max_tokens: Most tokens.
    """

    before: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A blank for one of a few words, each a single token of the model.

    Attributes:
        before: Fixed text in front of it.
        options: The words.
    """

    before: str
    options: tuple[str, ...]


class FormFiller:
    """Fills forms with a causal language model of transformers, loaded at the first use.

    Args:
        path: Hugging Face directory.
        dtype: Of the weights; ``auto`` takes that of the files.
        device: For example ``cuda``; None takes a GPU if there is one.
        batch_size: Questions filled together.
        max_tokens: Longest question with its form; longer ones are left unanswered.
    """

    def __init__(
        self,
        path: str,
        dtype: Literal["auto", "float32", "bfloat16"] = "auto",
        device: str | None = None,
        batch_size: int = 16,
        max_tokens: int = 8192,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}")
        self.path = path
        self.dtype = dtype
        self.device = device
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        self._model: Any = None
        self._tokenizer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the weights: another process loads its own."""
        return {**self.__dict__, "_model": None, "_tokenizer": None}

    def fill(
        self, questions: Sequence[str], form: Sequence[FreeText | Choice], *, progress: str = ""
    ) -> list[list[str] | None]:
        """Fill one form for each question.

        Args:
            questions: What a user would type; the model's chat template goes round it.
            form: The blanks in order.
            progress: Title of the progress bar; empty shows none.

        Returns:
            For each question the text of each blank, or None for a question that is too long.

        Raises:
            UserError: If the model cannot be loaded, or an option is more than one token of it.
        """
        self._load()
        prompts = [self._prompt(question) for question in questions]
        room = self.max_tokens - self._length(form)
        filled: list[list[str] | None] = [None] * len(questions)
        order = sorted(
            (i for i, ids in enumerate(prompts) if len(ids) <= room), key=lambda i: len(prompts[i])
        )
        with tqdm(total=len(order), desc=progress, unit="form", leave=False, disable=not progress) as bar:
            for start in range(0, len(order), self.batch_size):
                chosen = order[start : start + self.batch_size]
                for index, blanks in zip(chosen, self._fill([prompts[i] for i in chosen], form), strict=True):
                    filled[index] = blanks
                bar.update(len(chosen))
        return filled

    @torch.inference_mode()
    def _fill(self, prompts: list[list[int]], form: Sequence[FreeText | Choice]) -> list[list[str]]:
        state = _State(self._model, prompts, self._tokenizer.pad_token_id or 0)
        blanks: list[list[str]] = [[] for _ in prompts]
        logits = state.logits
        for blank in form:
            logits = state.append_to_all(self._ids(blank.before)) if blank.before else logits
            if isinstance(blank, Choice):
                ids = torch.tensor([self._option(option) for option in blank.options], device=logits.device)
                best = logits[:, ids].argmax(-1)
                logits = state.append(ids[best], [True] * len(prompts))
                texts = [blank.options[i] for i in best.tolist()]
            else:
                texts, logits = self._write(state, logits, blank.max_tokens)
            for row, text in zip(blanks, texts, strict=True):
                row.append(text)
        return blanks

    def _write(self, state: _State, logits: torch.Tensor, limit: int) -> tuple[list[str], torch.Tensor]:
        """Words of every row up to their end, and what is predicted behind them."""
        rows: list[list[int]] = [[] for _ in range(len(logits))]
        texts: list[str | None] = [None] * len(rows)
        for _ in range(limit):
            chosen = logits.argmax(-1)
            for row, token in enumerate(chosen.tolist()):
                if texts[row] is None:
                    texts[row] = self._ended(rows[row], token)
            going = [text is None for text in texts]
            if not any(going):
                break
            logits = state.append(chosen, going)
        decode = self._tokenizer.decode
        return [decode(row) if text is None else text for row, text in zip(rows, texts, strict=True)], logits

    def _ended(self, row: list[int], token: int) -> str | None:
        """The text of a row that ends with this token; else None, and the token is part of the row."""
        decode = self._tokenizer.decode
        if token == self._tokenizer.eos_token_id:
            return str(decode(row))
        if any(end in decode([token]) for end in _ENDS):
            text = decode([*row, token])
            return str(text[: min(text.find(end) for end in _ENDS if end in text)])
        row.append(token)
        return None

    def _load(self) -> None:
        if self._model is not None:
            return
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = Path(self.path)
        if not (folder / "config.json").is_file():
            raise UserError(f"{folder} is not a model directory (no config.json in it)")
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=self.dtype)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot load {folder}: {str(error).splitlines()[0]}") from error
        self._model = model.to(device).eval()

    def _prompt(self, question: str) -> list[int]:
        """Ids of a question in the model's chat template, where it has one; without thinking aloud."""
        if not self._tokenizer.chat_template:
            return self._ids(question + "\n")
        turn = [{"role": "user", "content": question}]
        text = self._tokenizer.apply_chat_template(
            turn, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return self._ids(text)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _option(self, option: str) -> int:
        ids = self._ids(option)
        if len(ids) != 1:
            raise UserError(f"{self.path}: {option!r} is {len(ids)} tokens of this model; it must be one")
        return ids[0]

    def _length(self, form: Sequence[FreeText | Choice]) -> int:
        """Most tokens of a filled form."""
        blanks = (blank.max_tokens if isinstance(blank, FreeText) else 1 for blank in form)
        return sum(len(self._ids(blank.before)) for blank in form) + sum(blanks)


class _State:
    """Rows of different lengths in one cache: what a row does not have is masked, and its positions go on."""

    def __init__(self, model: Any, prompts: list[list[int]], pad: int) -> None:
        from transformers import DynamicCache

        self.model = model
        self.pad = pad
        self.cache = DynamicCache(config=model.config)
        longest = max(len(ids) for ids in prompts)
        device = model.device
        self.mask = torch.zeros(len(prompts), 0, dtype=torch.int64, device=device)
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in prompts], device=device)
        real = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts], device=device)
        self.logits = self._feed(ids, real)

    def append_to_all(self, ids: list[int]) -> torch.Tensor:
        """Give every row the same tokens; returns what each predicts next, ``[rows, vocabulary]``."""
        given = torch.tensor([ids] * len(self.mask), device=self.mask.device)
        return self._feed(given, torch.ones_like(given))

    def append(self, ids: torch.Tensor, going: Sequence[bool]) -> torch.Tensor:
        """Give each row one token; a row that has ended gets none, and predicts nothing that counts."""
        real = torch.tensor(going, dtype=torch.int64, device=ids.device)
        return self._feed(torch.where(real.bool(), ids, self.pad)[:, None], real[:, None])

    def _feed(self, ids: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        before = self.mask.sum(-1, keepdim=True)
        self.mask = torch.cat([self.mask, real], dim=1)
        positions = (before + real.cumsum(-1) - 1).clamp(min=0)
        out = self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1].float()
