"""A judge inside this process: an open language model of transformers; nothing leaves the machine."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medgrpo.errors import UserError
from medgrpo.rewards.judges import prompt
from medgrpo.rewards.judges.base import load_rubric
from medgrpo.rewards.judges.gates import Gates
from medgrpo.rewards.judges.prompted import PromptedJudge
from medgrpo.rewards.judges.replies import HIGHEST, LOWEST
from medgrpo.services.reply_cache import content_key
from medgrpo.types import Judgement

if TYPE_CHECKING:
    from medgrpo.services.form_filling import Choice, FreeText

__all__ = ["TransformersJudge"]

_GATES = Gates()
_MANY = 100
"""Items from which on a progress bar is worth its line."""


class TransformersJudge(PromptedJudge):
    """Scores with an open model: of each aspect first a sentence of reason, then the likeliest of 1 to 5.

    See :class:`PromptedJudge`. The model fills a form, so that no reply is unreadable; an item that does not
    fit into ``max_tokens`` has no scores and status ``schema``. A server with vLLM is faster for many
    judgements: see :class:`ChatJudge`.

    Args:
        path: Hugging Face directory of a causal language model.
        rubric: Shipped rubric by name, or a YAML file.
        rationale_tokens: Longest reason of an aspect, in tokens; 0 asks for scores alone.
        gates: Which answers get the lowest score unasked; None asks about every answer.
        cache_size: How many judgements are kept in memory.
        batch_size: Items judged together.
        max_tokens: Longest prompt with its reply.
        dtype: Of the weights; ``auto`` takes that of the files.
        device: For example ``cuda``; None takes a GPU if there is one.
    """

    def __init__(
        self,
        path: str,
        rubric: str = "medgrpo-five@1",
        rationale_tokens: int = 48,
        gates: Gates | None = _GATES,
        cache_size: int = 100_000,
        batch_size: int = 16,
        max_tokens: int = 8192,
        dtype: Literal["auto", "float32", "bfloat16"] = "auto",
        device: str | None = None,
    ) -> None:
        if rationale_tokens < 0 or cache_size < 0:
            raise UserError("TransformersJudge: rationale_tokens and cache_size must be at least 0")
        loaded = load_rubric(rubric)
        instructions = prompt.instructions(loaded, "json")
        common = {
            "model": Path(path).resolve().name,
            "prompt": content_key({"instructions": instructions}),
            "rubric": loaded.name,
            "form": "filled",
            "rationale_tokens": rationale_tokens,
            "dtype": dtype,
        }
        constant = json.dumps([common, gates and asdict(gates)], sort_keys=True)
        prompt_hash = hashlib.sha256(constant.encode()).hexdigest()[:16]
        name = str(common["model"])
        super().__init__(name, loaded, instructions, common, prompt_hash, gates, cache_size)
        self.rationale_tokens = rationale_tokens
        self._options: dict[str, Any] = {
            "path": path,
            "dtype": dtype,
            "device": device,
            "batch_size": batch_size,
            "max_tokens": max_tokens,
        }
        self._filler: Any = None

    @property
    def id(self) -> str:
        """``<name of the directory>/filled/<hash of everything that requests have in common>``."""
        return f"{self.model}/filled/{self.prompt_hash}"

    def ask(self, prompts: Mapping[str, str]) -> dict[str, Judgement]:
        """See :meth:`PromptedJudge.ask`.

        Raises:
            UserError: If the model cannot be loaded.
        """
        if not prompts:
            return {}
        if self._filler is None:
            from medgrpo.services.form_filling import FormFiller  # with it comes torch

            self._filler = FormFiller(**self._options)
        start = time.perf_counter()
        title = f"judge by {self.model}" if len(prompts) > _MANY else ""
        filled = self._filler.fill(list(prompts.values()), self._form(), progress=title)
        latency = (time.perf_counter() - start) / len(prompts)
        return {key: self._judgement(blanks, latency) for key, blanks in zip(prompts, filled, strict=True)}

    def _form(self) -> list[FreeText | Choice]:
        """The JSON object that the instructions ask for, with blanks."""
        from medgrpo.services.form_filling import Choice, FreeText

        scores = tuple(str(score) for score in range(LOWEST, HIGHEST + 1))
        form: list[FreeText | Choice] = []
        opened = "{"
        for name in self.names:
            opened += f'"{name}": {{'
            if self.rationale_tokens:
                form.append(FreeText(f'{opened}"rationale": "', self.rationale_tokens))
                opened = '", '
            form.append(Choice(f'{opened}"score": ', scores))
            opened = "}, "
        return form

    def _judgement(self, blanks: list[str] | None, latency: float) -> Judgement:
        scores, rationales = {}, {}
        if blanks is not None:
            step = 2 if self.rationale_tokens else 1
            scores = {name: float(s) for name, s in zip(self.names, blanks[step - 1 :: step], strict=True)}
            if self.rationale_tokens:
                reasons = (reason.strip() for reason in blanks[::step])
                rationales = dict(zip(self.names, reasons, strict=True))
        return Judgement(
            model=self.model,
            rubric=self.rubric.name,
            scores=scores,
            rationales=rationales,
            status="ok" if scores else "schema",
            prompt_hash=self.prompt_hash,
            latency_s=latency,
        )
