"""Who answers: a checkpoint of this machine, or a server. Both say how far they are and can be stopped."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from app.ask.desk import Job
from app.records.frames import as_uri
from app.show.media import evenly
from app.sources import Endpoint, Sources, directory_name
from medgrpo.data.clip_frames import ClipFrames
from medgrpo.errors import UserError
from medgrpo.services.chat_message import PicturedPrompt
from medgrpo.services.chat_reply import ChatReply
from medgrpo.tasks import get_task
from medgrpo.types import Sample

if TYPE_CHECKING:
    from medgrpo.evaluation.runner import Checkpoint

__all__ = ["LONGEST", "PICTURES", "Answerer", "Local", "Remote", "answerer_of"]

PICTURES = 16
"""Still frames that a server is sent; many refuse more."""

LONGEST = 10_000
"""Characters of an answer that are read; a server need not keep to the limit that it is told."""

_FAILURES = {
    "timeout": "the server did not answer in time",
    "http": "the server could not be reached or failed",
    "schema": "the server's answer could not be read",
    "refused": "the server refused to answer",
    "budget": "the question would cost more than is allowed",
}


class Answerer(Protocol):
    """Answers one question at a time.

    Attributes:
        name: For people.
    """

    name: str

    def state(self) -> str:
        """Whether it is ready, in words."""
        ...

    def answer(self, job: Job[Any]) -> tuple[str, bool]:
        """The answer to a job's question, and whether it was cut off at the limit of its length.

        Raises:
            UserError: If there is none, in plain words.
            Stopped: If the job was stopped.
        """
        ...


class Local:
    """A Hugging Face directory, loaded at the first question as ``medgrpo evaluate`` loads it.

    Args:
        directory: The model.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = directory_name(directory)
        self._state = "It is loaded at the first question."
        self._checkpoint: Checkpoint | None = None

    def state(self) -> str:
        """See :class:`Answerer`."""
        return self._state

    def answer(self, job: Job[Any]) -> tuple[str, bool]:
        """See :class:`Answerer`."""
        checkpoint = self._loaded(job)
        job.say("The frames are read")
        sample = job.question.sample
        prompt = checkpoint.encoder.prompt(sample)
        job.say("The answer is written")

        def on_forward(*_: Any) -> None:
            job.go_on()
            job.pieces += 1

        # The language model runs once for every word piece.
        hook = checkpoint.policy.qwen.model.language_model.register_forward_pre_hook(on_forward)
        try:
            ((completion,),) = checkpoint.answer(
                [prompt],
                n=1,
                max_new_tokens=[get_task(sample.task).max_new_tokens],
                temperature=job.question.temperature,
                seeds=[job.question.seed],
            )
        finally:
            hook.remove()
        return completion.text, completion.truncated

    def _loaded(self, job: Job[Any]) -> Checkpoint:
        if self._checkpoint is None:
            job.say("The model is loaded, once")
            self._state = "It is being loaded."
            from medgrpo.evaluation.runner import Checkpoint

            try:
                self._checkpoint = Checkpoint(self.directory)
            except Exception as error:
                told = type(error).__name__
                if isinstance(error, UserError):
                    told = str(error).removeprefix("policy.path: ")
                self._state = f"It cannot be loaded: {told}"
                raise
            self._state = "It is ready."
        return self._checkpoint


class Remote:
    """A server that speaks OpenAI's chat completions. It gets still frames with their times, not the video.

    Args:
        endpoint: The server.
        frames: Chooses and sizes them.
    """

    def __init__(self, endpoint: Endpoint, frames: ClipFrames) -> None:
        self.endpoint = endpoint
        self.frames = frames
        self.name = endpoint.model

    def state(self) -> str:
        """See :class:`Answerer`."""
        return f"It is asked at {self.endpoint.url}, with at most {PICTURES} still frames of the clip."

    def answer(self, job: Job[Any]) -> tuple[str, bool]:
        """See :class:`Answerer`."""
        job.say("The frames are read")
        question = job.question
        parameters: dict[str, Any] = {
            "temperature": question.temperature,
            "max_tokens": get_task(question.sample.task).max_new_tokens,
        }
        if question.temperature > 0:
            parameters["seed"] = question.seed
        prompt = PicturedPrompt(question.sample.question, self._pictures(question.sample))
        client = self.endpoint.client(parameters)
        job.say("The server is asked")
        replies: list[ChatReply | UserError] = []

        def ask() -> None:
            try:
                replies.extend(client.ask([prompt]))
            except UserError as error:
                replies.append(error)

        # Aside, so that a stopped question does not hold up the next one.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        while thread.is_alive():
            job.go_on()
            thread.join(0.1)
        reply = replies[0] if replies else ChatReply(status="http")
        if isinstance(reply, UserError):
            raise reply
        if reply.status != "ok":
            told = _FAILURES.get(reply.status, reply.status)
            raise UserError(f"{told} ({reply.detail})" if reply.detail else told)
        return reply.text[:LONGEST], len(reply.text) > LONGEST or _reached_limit(reply.body)

    def _pictures(self, sample: Sample) -> list[tuple[str, str]]:
        plan, _ = self.frames.plan(sample)
        positions = evenly(len(plan.indices), PICTURES)
        pixels, _ = self.frames.read(sample, positions)
        times = plan.true_times[positions]
        return [(f"{time:.1f} seconds:", as_uri(frame)) for time, frame in zip(times, pixels, strict=True)]


def _reached_limit(body: str) -> bool:
    """Whether a chat completion was cut off at the greatest length that was allowed."""
    try:
        return bool(json.loads(body)["choices"][0]["finish_reason"] == "length")
    except (ValueError, LookupError, TypeError):
        return False


def answerer_of(sources: Sources, frames: ClipFrames) -> Answerer | None:
    """Who answers by the command line; None if it names nobody.

    Args:
        sources: Model or server.
        frames: Of questions to a server.
    """
    if sources.model is not None:
        return Local(sources.model)
    return None if sources.endpoint is None else Remote(sources.endpoint, frames)
