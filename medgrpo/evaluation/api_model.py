"""A vision-language model behind an OpenAI-compatible server, as a baseline: still frames with their times.

Many servers take pictures and no video, so a clip is shown as frames of the sampling policy, evenly chosen,
each after a line with its time. An answer is kept the moment it comes and is not paid for again; what failed
on the way is asked for by the next run.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import ClipError, UserError
from medgrpo.evaluation.format_examples import with_example
from medgrpo.services.addresses import is_local
from medgrpo.services.chat import ChatClient, ChatReply
from medgrpo.services.chat_message import PicturedPrompt, user_message
from medgrpo.services.limits import Limits
from medgrpo.services.reply_cache import content_key
from medgrpo.tasks import get_task
from medgrpo.types import Completion, Sample

__all__ = ["ApiModel"]

_log = logging.getLogger(__name__)

_SETTLED = ("ok", "refused")
"""Statuses of replies for which asking again would cost and not help."""

_AT_ONCE = 64
"""Questions whose pictures are in memory together."""


class ApiModel:
    """Answers questions by a server.

    Args:
        model: Name under which the server knows it.
        base_url: Of the API.
        cache: File in which answers are kept.
        api_key_env: Name of the environment variable that holds the key; None for a server without keys.
        allow_remote: Whether frames and questions may go to another machine.
        allow_hosts: The user's own servers, to which they may go without ``allow_remote``.
        frames: Most pictures a question.
        longest_side: Pixels of a picture; larger ones are made smaller.
        quality: Of the JPEG pictures, 1..95.
        format_example: Whether each question ends with an example of the form of its answer.
        sampling: Chooses the frames that pictures are taken from.
        temperature: Of the model; None sends none, as some models demand.
        seed: Sent with every question; None sends none.
        max_tokens: Longest answer, what the model thinks included; None takes each task's own limit.
        token_field: Under which the server takes it.
        concurrency: Questions under way at a time.
        timeout_s: Seconds for one attempt.
        max_retries: Further attempts after failures on the way.
        backoff_s: About the pause before the first retry.
        extra_body: Further fields of a request.
        limits: Rates, budget and prices.

    Raises:
        UserError: If the server is remote and may not be, or an argument is out of range.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        cache: str,
        api_key_env: str | None = None,
        allow_remote: bool = False,
        allow_hosts: Sequence[str] = (),
        frames: int = 16,
        longest_side: int = 768,
        quality: int = 85,
        format_example: bool = True,
        sampling: SamplingPolicy | None = None,
        temperature: float | None = 0.0,
        seed: int | None = 0,
        max_tokens: int | None = None,
        token_field: str = "max_tokens",
        concurrency: int = 8,
        timeout_s: float = 120.0,
        max_retries: int = 4,
        backoff_s: float = 0.5,
        extra_body: dict[str, Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        if frames < 2 or longest_side < 28 or not 1 <= quality <= 95:
            raise UserError(
                "ApiModel: frames must be at least 2, longest_side at least 28 pixels and quality 1..95, got "
                f"{frames}, {longest_side} and {quality}"
            )
        if temperature is not None and not 0.0 <= temperature < math.inf:
            raise UserError(f"ApiModel: temperature must be at least 0, got {temperature}")
        self.name = model
        self.frames = frames
        self.longest_side = longest_side
        self.quality = quality
        self.format_example = format_example
        self.max_tokens = max_tokens
        self.clips = ClipFrames(sampling or SamplingPolicy())
        self.remote = not is_local(base_url, allow_remote, allow_hosts)
        self.host = urlsplit(base_url).hostname or ""
        self.limits = limits or Limits()
        given = {"temperature": temperature, "seed": seed, "extra_body": extra_body}
        self.parameters = {key: value for key, value in given.items() if value is not None}
        self._spent: Counter[str] = Counter()
        self._client: Callable[[int], ChatClient] = lambda tokens: ChatClient(
            model,
            base_url,
            api_key_env,
            allow_remote,
            timeout_s,
            max_retries,
            concurrency,
            self.parameters | {token_field: tokens},
            cache,
            self.limits,
            backoff_s,
            allow_hosts,
        )

    @property
    def cost(self) -> float:
        """Of all answers so far, whenever they were paid for; 0 without prices."""
        return float(self._spent["cost"])

    def complete(
        self, samples: Sequence[Sample], *, progress: str = "", problems: dict[int, str] | None = None
    ) -> list[list[Completion]]:
        """One answer to each question.

        Args:
            samples: Questions; answers are not looked at.
            progress: Title of the progress bar; empty shows none.
            problems: Takes, by index of the sample, why it has no answer; None ends with a count of them.

        Returns:
            A list of one completion each, without tokens; an empty one for a question without an answer.

        Raises:
            UserError: If answers are missing and that is not asked for, frames cannot be read, the server
                refuses the key, or it does not know the model.
        """
        from tqdm import tqdm

        clients: dict[int, ChatClient] = {}
        limits = [self.max_tokens or get_task(sample.task).max_new_tokens for sample in samples]
        for tokens in sorted(set(limits)):
            clients[tokens] = self._client(tokens)  # without a key nothing is said to leave
        if self.remote:
            _log.warning(
                "%s: frames and questions of %d rows leave this machine for %s",
                self.name,
                len(samples),
                self.host,
            )
        found: list[list[Completion]] = [[] for _ in samples]
        missing: dict[int, str] = {}
        order = sorted(range(len(samples)), key=lambda index: limits[index])
        with tqdm(total=len(samples), desc=progress, disable=not progress, unit="row") as bar:
            for tokens, client in clients.items():
                own = [index for index in order if limits[index] == tokens]
                for start in range(0, len(own), _AT_ONCE):
                    chosen = own[start : start + _AT_ONCE]
                    for index, reply in self._asked(client, samples, chosen, problems).items():
                        if reply.status == "ok":
                            found[index] = [_completion(reply)]
                        else:
                            missing[index] = (
                                f"{reply.status}: {reply.detail}" if reply.detail else reply.status
                            )
                    bar.update(len(chosen))
                    if self.cost:
                        bar.set_postfix_str(f"cost {self.cost:.2f}")
        self._settle(samples, missing, problems)
        return found

    def _asked(
        self,
        client: ChatClient,
        samples: Sequence[Sample],
        chosen: Sequence[int],
        problems: dict[int, str] | None,
    ) -> dict[int, ChatReply]:
        prompts: dict[int, PicturedPrompt] = {}
        for index in chosen:
            try:
                prompts[index] = self._prompt(samples[index])
            except ClipError as error:
                if problems is None:
                    raise UserError(f"row {samples[index].row} ({samples[index].id}): {error}") from error
                problems[index] = str(error)
        settings = {"model": self.name, "parameters": client.parameters}
        keys = [content_key({"prompt": user_message(prompt), **settings}) for prompt in prompts.values()]
        replies = client.ask(list(prompts.values()), progress="", keys=keys, settled=_SETTLED)
        self._spent["cost"] += sum(reply.cost for reply in replies)  # type: ignore[assignment]
        return dict(zip(prompts, replies, strict=True))

    def _prompt(self, sample: Sample) -> PicturedPrompt:
        plan, _ = self.clips.plan(sample)
        count = min(self.frames, len(plan.indices))
        positions = sorted({round(k) for k in np.linspace(0, len(plan.indices) - 1, count)})
        pixels, _ = self.clips.read(sample, positions)
        times = plan.true_times[positions]
        pictures = [
            (f"{time:.1f} seconds:", self._uri(frame)) for time, frame in zip(times, pixels, strict=True)
        ]
        return PicturedPrompt(with_example(sample) if self.format_example else sample.question, pictures)

    def _uri(self, frame: np.ndarray) -> str:
        """A frame, uint8 ``[3, H, W]``, as a ``data:`` URI."""
        from PIL import Image

        image = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        image.thumbnail((self.longest_side, self.longest_side), Image.Resampling.LANCZOS)
        encoded = io.BytesIO()
        image.save(encoded, "JPEG", quality=self.quality)
        return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"

    def _settle(
        self, samples: Sequence[Sample], missing: dict[int, str], problems: dict[int, str] | None
    ) -> None:
        if not missing:
            return
        if problems is not None:
            problems.update(missing)
            return
        counts = Counter(reason.partition(":")[0] for reason in missing.values())
        first = min(missing)
        raise UserError(
            f"{self.name}: {len(missing)} of {len(samples)} questions have no answer "
            f"({', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}); the first is "
            f"row {samples[first].row}: {missing[first]}. The same command asks for them again and for no "
            "other; --on-error quarantine scores without them"
        )


def _completion(reply: ChatReply) -> Completion:
    try:
        finish = str(json.loads(reply.body)["choices"][0]["finish_reason"])
    except (ValueError, LookupError, TypeError):
        finish = "stop"
    return Completion(reply.text, (), (), "length" if finish == "length" else "stop")
