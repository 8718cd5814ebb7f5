"""Where questions wait: they are answered one at a time; whoever asked sees how far it is and may stop it."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.ask.question import Question
from medgrpo.errors import UserError

__all__ = ["Desk", "Job", "Stopped"]

_WAITING = 8
_KEPT = 32

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Stopped(Exception):
    """A question was stopped."""


@dataclass(eq=False)
class Job(Generic[T]):
    """A question on its way.

    Attributes:
        question: What is asked.
        stage: What is being done, in words; empty while it waits.
        pieces: Word pieces of the answer so far.
        result: The answer, when it is there.
        problem: Why there is none, in words.
        stop: Set when nobody wants the answer any more.
        finished: Set when nothing more will happen.
    """

    question: Question
    stage: str = ""
    pieces: int = 0
    result: T | None = None
    problem: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    def say(self, stage: str) -> None:
        """Tell what is done next.

        Raises:
            Stopped: If the question was stopped.
        """
        self.go_on()
        self.stage = stage

    def go_on(self) -> None:
        """Look whether to go on.

        Raises:
            Stopped: If the question was stopped.
        """
        if self.stop.is_set():
            raise Stopped


class Desk(Generic[T]):
    """Takes questions and has them answered one after the other.

    Args:
        work: Answers a question; says how far it is by the job, and asks it whether to go on.
    """

    def __init__(self, work: Callable[[Job[T]], T]) -> None:
        self._work = work
        self._jobs: OrderedDict[str, Job[T]] = OrderedDict()
        self._queue: deque[Job[T]] = deque()
        self._change = threading.Condition()
        self._worker: threading.Thread | None = None

    def submit(self, question: Question) -> str:
        """Queue a question; returns a key that nobody else can guess.

        Raises:
            UserError: If too many questions wait already.
        """
        with self._change:
            if len(self._queue) >= _WAITING:
                raise UserError(f"{_WAITING} questions are waiting already; try again in a while")
            key = secrets.token_urlsafe(16)
            job: Job[T] = Job(question)
            self._jobs[key] = job
            self._queue.append(job)
            while len(self._jobs) > _KEPT and next(iter(self._jobs.values())).finished.is_set():
                self._jobs.popitem(last=False)
            if self._worker is None:
                self._worker = threading.Thread(target=self._serve, daemon=True)
                self._worker.start()
            self._change.notify()
        return key

    def job(self, key: str) -> Job[T] | None:
        """A question by its key; None if there is none, or none any more."""
        return self._jobs.get(key)

    def ahead(self, key: str) -> int:
        """How many questions are answered before this one."""
        with self._change:
            job = self._jobs.get(key)
            return self._queue.index(job) + 1 if job is not None and job in self._queue else 0

    def stop(self, key: str) -> None:
        """Stop a question, be it waiting or being answered."""
        with self._change:
            job = self._jobs.get(key)
            if job is None or job.finished.is_set():
                return
            job.stop.set()
            if job in self._queue:
                self._queue.remove(job)
                job.problem = "stopped"
                job.finished.set()

    def _serve(self) -> None:
        while True:
            with self._change:
                while not self._queue:
                    self._change.wait()
                job = self._queue.popleft()
            try:
                job.result = self._work(job)
            except Stopped:
                job.problem = "stopped"
            except UserError as error:
                job.problem = str(error)
            except (MemoryError, RuntimeError) as error:  # PyTorch's allocators raise the latter
                job.problem = _memory_words(error)
            except Exception as error:  # whatever else a model's code raises must not end the desk
                _log.exception("a question could not be answered")
                job.problem = f"the model's program failed ({type(error).__name__}); its log says more"
            finally:
                job.finished.set()


def _memory_words(error: Exception) -> str:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
        return (
            "this machine has not enough memory for this clip and model; ask about a shorter clip, or take a "
            "smaller model"
        )
    _log.error("a question could not be answered", exc_info=error)
    return f"the model's program failed ({type(error).__name__}); its log says more"
