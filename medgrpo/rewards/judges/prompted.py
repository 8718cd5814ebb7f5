"""What judges with a prompt share: keys, the gates, memory, and asking about each text once."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from medgrpo.rewards.judges import prompt
from medgrpo.rewards.judges.base import Judge, JudgeRequest, Rubric
from medgrpo.rewards.judges.gates import Gates, gated
from medgrpo.services.reply_cache import content_key
from medgrpo.types import Judgement

__all__ = ["PromptedJudge"]


class PromptedJudge(Judge):
    """Asks a model to score an answer against its reference by a rubric.

    The model sees task, reference and answer, not the question, each answer alone. Equal requests are judged
    once; failures are not remembered.

    Args:
        model: Its name.
        rubric: What is scored.
        instructions: The constant part of the prompt.
        common: Whatever changes scores and is the same for all requests, as JSON values.
        prompt_hash: Of the constant part and the decoding, for stored judgements.
        gates: Which answers get the lowest score unasked; None asks about every answer.
        cache_size: How many judgements are kept in memory; the least recently used leave first.
    """

    def __init__(
        self,
        model: str,
        rubric: Rubric,
        instructions: str,
        common: Mapping[str, Any],
        prompt_hash: str,
        gates: Gates | None,
        cache_size: int,
    ) -> None:
        self.model = model
        self.rubric = rubric
        self.prompt_hash = prompt_hash
        self.gates = gates
        self.cache_size = cache_size
        self.names = tuple(dimension.name for dimension in rubric.dimensions)
        self._instructions = instructions
        self._common = dict(common)
        self._cache: OrderedDict[str, Judgement] = OrderedDict()

    @abstractmethod
    def ask(self, prompts: Mapping[str, str]) -> dict[str, Judgement]:
        """The model's judgements.

        Args:
            prompts: By key, no two the same.
        """

    def key(self, request: JudgeRequest) -> str:
        """What the judgement of a request is kept under."""
        judged = {
            "task": request.task,
            "question": request.question,
            "reference": request.reference,
            "candidate": request.candidate,
        }
        return content_key({**self._common, **judged})

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """See :meth:`Judge.judge`; a progress bar appears for many requests."""
        keys = [self.key(request) for request in requests]
        results: dict[str, Judgement] = {}
        asked: dict[str, str] = {}
        for request, key in zip(requests, keys, strict=True):
            if key in self._cache:
                self._cache.move_to_end(key)
                results[key] = replace(self._cache[key], cached=True)
            elif reason := self._worthless(request):
                results[key] = gated(self.model, self.rubric, reason, self.prompt_hash)
            else:
                asked[key] = self._instructions + prompt.item(request)
        for key, judgement in self.ask(asked).items():
            results[key] = judgement
            if judgement.status == "ok":
                self._cache[key] = judgement
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)
        # A repetition inside the call cost nothing.
        seen: set[str] = set()
        judged = []
        for key in keys:
            judged.append(replace(results[key], cached=True) if key in seen else results[key])
            seen.add(key)
        return judged

    def _worthless(self, request: JudgeRequest) -> str:
        if self.gates is None:
            return ""
        return self.gates.reason(request.reference, prompt.neutral(request.candidate))
