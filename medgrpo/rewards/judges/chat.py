"""A judge behind any OpenAI-compatible server: GPT-4.1, or an open model that vLLM serves on this machine."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from medgrpo.errors import UserError
from medgrpo.rewards.judges import prompt
from medgrpo.rewards.judges.base import load_rubric
from medgrpo.rewards.judges.gates import Gates
from medgrpo.rewards.judges.prompted import PromptedJudge
from medgrpo.rewards.judges.replies import parse_json, parse_lines
from medgrpo.services.chat import ChatClient, ChatReply
from medgrpo.services.limits import Limits
from medgrpo.services.reply_cache import content_key
from medgrpo.types import Judgement

__all__ = ["ChatJudge"]

_GATES = Gates()
_log = logging.getLogger(__name__)


class ChatJudge(PromptedJudge):
    """Asks a chat model to score an answer against its reference by a rubric.

    See :class:`PromptedJudge`. A judgement that could not be had has no scores and says why: ``timeout``,
    ``http``, ``schema`` (unreadable to the end), ``refused`` or ``budget``.

    Args:
        model: Name under which the server knows the model.
        base_url: Of the API, e.g. ``http://localhost:8000/v1``.
        rubric: Shipped rubric by name, or a YAML file.
        form: Of the reply. ``lines`` is the leaderboard's, which accepts any whole number; ``json`` is locked
            by a schema, has a rationale before each score and accepts 1 to 5 only.
        api_key_env: Name of the environment variable with the key; None for a server without keys.
        allow_remote: Whether the server may be on another machine: answers and references go there.
        timeout_s: Seconds for one attempt.
        max_retries: Further attempts after failures on the way, as soon as Retry-After says.
        reasks: How often an unreadable reply is asked again.
        concurrency: Requests under way at a time.
        temperature: Of the sampling; None leaves it to the server.
        seed: Of the sampling; None sends none.
        max_tokens: Longest reply; None leaves it to the server.
        gates: Which answers get the lowest score unasked, with status ``gated``; None asks about every
            answer, as the leaderboard does.
        extra_body: Further fields for the server, e.g.
            ``{chat_template_kwargs: {enable_thinking: false}}`` for Qwen3 behind vLLM.
        cache_size: How many judgements are kept in memory; the least recently used leave first.
        cache: File of replies that are kept for later runs and shared by processes; None keeps none. Whatever
            could change a score, and each of the judged texts, is part of a reply's key.
        limits: Requests and tokens a minute, the run's budget with the prices of models, and the share of
            failures at which to pause. What the budget forbids has status ``budget``.
        backoff_s: About the pause before the first retry, where the server names none; it doubles.
        revision: Of the model, where its name alone does not say which weights answer.
        allow_hosts: A hospital's own servers by name or address: answers and references may go there without
            ``allow_remote``.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        rubric: str = "medgrpo-five@1",
        form: Literal["lines", "json"] = "json",
        api_key_env: str | None = None,
        allow_remote: bool = False,
        timeout_s: float = 30.0,
        max_retries: int = 4,
        reasks: int = 1,
        concurrency: int = 8,
        temperature: float | None = 0.0,
        seed: int | None = None,
        max_tokens: int | None = 1024,
        gates: Gates | None = _GATES,
        extra_body: dict[str, Any] | None = None,
        cache_size: int = 100_000,
        cache: str | None = None,
        revision: str = "",
        limits: Limits | None = None,
        backoff_s: float = 0.5,
        allow_hosts: Sequence[str] = (),
    ) -> None:
        if form not in ("lines", "json"):
            raise UserError(f"ChatJudge: form must be lines or json, got {form!r}")
        if reasks < 0 or cache_size < 0:
            raise UserError("ChatJudge: reasks and cache_size must be at least 0")
        loaded = load_rubric(rubric)
        names = [dimension.name for dimension in loaded.dimensions]
        instructions = prompt.instructions(loaded, form)
        parameters = _parameters(temperature, seed, max_tokens, extra_body)
        if form == "json":
            schema = {"name": "scores", "strict": True, "schema": prompt.reply_schema(names)}
            parameters["response_format"] = {"type": "json_schema", "json_schema": schema}
        constant = json.dumps(
            [instructions, parameters, gates and asdict(gates)], sort_keys=True, default=str
        )
        common = {
            "model": model,
            "revision": revision,
            "prompt": content_key({"instructions": instructions}),
            "rubric": loaded.name,
            "form": form,
            "parameters": parameters,
        }
        prompt_hash = hashlib.sha256(constant.encode()).hexdigest()[:16]
        super().__init__(model, loaded, instructions, common, prompt_hash, gates, cache_size)
        self.form = form
        self.reasks = reasks
        self.revision = revision
        self.limits = limits or Limits()
        self._client = ChatClient(
            model,
            base_url,
            api_key_env,
            allow_remote,
            timeout_s,
            max_retries,
            concurrency,
            parameters,
            cache,
            self.limits,
            backoff_s,
            allow_hosts,
        )

    @property
    def id(self) -> str:
        """``<model>/<form>/<hash of everything that requests have in common>``."""
        model = f"{self.model}:{self.revision}" if self.revision else self.model
        return f"{model}/{self.form}/{self.prompt_hash}"

    def ask(self, prompts: Mapping[str, str]) -> dict[str, Judgement]:
        """See :meth:`PromptedJudge.ask`.

        Raises:
            UserError: If the server refuses the key or does not know the model.
        """
        replies = self._client.ask(
            list(prompts.values()),
            readable=lambda reply: self._parsed(reply) is not None,
            reask=prompt.reask(self.names, self.form),
            reasks=self.reasks,
            progress=f"judge by {self.model}",
            keys=list(prompts),
        )
        _report(replies, self.model)
        return {key: self._judgement(reply) for key, reply in zip(prompts, replies, strict=True)}

    def _parsed(self, text: str) -> tuple[dict[str, float], dict[str, str]] | None:
        """Scores and rationales of a reply; what a model thought aloud before it does not count."""
        answer = text.rpartition("</think>")[2]
        if self.form == "json":
            return parse_json(answer, self.names)
        scores = parse_lines(answer, self.names)
        return None if scores is None else (scores, {})

    def _judgement(self, reply: ChatReply) -> Judgement:
        parsed = self._parsed(reply.text) if reply.status == "ok" else None
        scores, rationales = parsed or ({}, {})
        return Judgement(
            model=reply.model or self.model,
            rubric=self.rubric.name,
            scores=scores,
            rationales=rationales,
            status="schema" if reply.status == "ok" and parsed is None else reply.status,
            prompt_hash=self.prompt_hash,
            latency_s=reply.latency_s,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            cost=reply.cost,
            cached=reply.cached,
        )


def _parameters(
    temperature: float | None, seed: int | None, max_tokens: int | None, extra_body: dict[str, Any] | None
) -> dict[str, Any]:
    """What is sent with every request; None sends nothing."""
    if temperature is not None and not 0.0 <= temperature < math.inf:
        raise UserError(f"ChatJudge: temperature must be at least 0, got {temperature}")
    if max_tokens is not None and max_tokens < 1:
        raise UserError(f"ChatJudge: max_tokens must be at least 1, got {max_tokens}")
    given = {"temperature": temperature, "seed": seed, "max_tokens": max_tokens, "extra_body": extra_body}
    return {name: value for name, value in given.items() if value is not None}


def _report(replies: Sequence[ChatReply], model: str) -> None:
    """One warning for all failures, with an example of each kind."""
    failed = [reply for reply in replies if reply.status != "ok"]
    if failed:
        example = {reply.status: reply.detail for reply in reversed(failed)}
        counted = Counter(reply.status for reply in failed)
        kinds = "; ".join(f"{count} {kind} (e.g. {example[kind]})" for kind, count in counted.items())
        _log.warning("judge %s: %d of %d requests failed: %s", model, len(failed), len(replies), kinds)
