"""Texts of all drafts by all writers, with a bounded number of requests under way and nothing asked twice.

Prompts are made by the engine's workers, a few videos ahead of the writers, who are asked from this process:
one place bounds what is under way, whatever runs the rest. A reply is kept by the writer the moment it comes,
and the texts of a video once it has all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medgrpo.data.build.engines import Engine
from medgrpo.data.build.fingerprints import settings_of
from medgrpo.data.build.items import WrittenText
from medgrpo.data.build.prepare import Result, prepared_results
from medgrpo.data.build.prompting import PromptPolicy, requests_of
from medgrpo.data.build.results import Results, content_hash
from medgrpo.data.build.templates import source_texts
from medgrpo.data.build.writers import SETTLED, TextRequest, Writer
from medgrpo.errors import UserError

__all__ = ["Prompting", "Texts", "Writing", "WritingTotals"]

Texts = dict[str, dict[str, WrittenText]]
"""Key of a draft to writer to text."""

_AT_ONCE = 128
"""Questions that are handed to the writers together; their pictures are in memory meanwhile."""


@dataclass
class WritingTotals:
    """What writing came to.

    Attributes:
        texts: Texts there are now, by writer.
        missing: Texts that did not come, by writer and status; the next run asks for them again.
        unusable: Texts that a writer does not give, by writer and status; asking again does not help.
        tokens: Sent and received, by writer, whenever they were.
        cost: By writer, whenever it was.
        models: As the servers named themselves, by writer.
    """

    texts: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    cost: Counter[str] = field(default_factory=Counter)
    models: dict[str, set[str]] = field(default_factory=dict)

    def add(self, text: WrittenText) -> None:
        """Count one text."""
        name = text.writer
        if text.status == "ok":
            self.texts[name] += 1
        elif text.status in (*SETTLED, "withheld"):
            self.unusable[f"{name}: {text.status}"] += 1
        else:
            self.missing[f"{name}: {text.status}"] += 1
        self.tokens[name] += text.prompt_tokens + text.completion_tokens
        self.cost[name] += text.cost  # type: ignore[assignment]
        if text.model:
            self.models.setdefault(name, set()).add(text.model)


class Prompting:
    """Makes the requests of a prepared video; can be sent to another process.

    Args:
        work: Folder of the kept results.
        out: Folder of the build, where the frames are.
        prompts: The user's own folder of prompts.
        policy: What is shown.
        web: Names of the sources that are explained by voice.
    """

    def __init__(
        self, work: Path, out: Path, prompts: str | None, policy: PromptPolicy, web: Iterable[str]
    ) -> None:
        self.work = work
        self.out = out
        self.prompts = prompts
        self.policy = policy
        self.web = frozenset(web)

    def __call__(self, result: Result) -> list[TextRequest]:
        """The requests of one video."""
        prepared = prepared_results(self.work).get(result.key)
        if prepared is None:
            raise UserError(f"{self.work}: a result was removed while the build ran; run it again")
        texts = source_texts(prepared.video.source, self.prompts)
        return requests_of(prepared, self.out, texts, self.policy, result.item[0] in self.web)


class Writing:
    """Has texts written.

    Args:
        work: Folder of the kept results.
        prompting: Makes requests.
        writers: By suffix of the question type.
        engine: Runs ``prompting``.
    """

    def __init__(
        self, work: Path, prompting: Prompting, writers: Mapping[str, Writer], engine: Engine
    ) -> None:
        self.prompting = prompting
        self.writers = dict(writers)
        self.engine = engine
        self.results: Results[Texts] = Results(work, "written@1", Texts)

    def key(self, result: Result) -> str:
        """Under which the texts of a video are kept."""
        told = {name: writer.settings() for name, writer in self.writers.items()}
        # What is withheld from a remote writer is not withheld from one in the house.
        remote = {name: getattr(writer, "remote", False) for name, writer in self.writers.items()}
        return content_hash([result.key, settings_of(self.prompting.policy), told, remote])

    def write(
        self,
        videos: Sequence[Result],
        each: Callable[[WrittenText], None],
        tick: Callable[[int], None] = lambda texts: None,
    ) -> Iterator[tuple[Result, Texts]]:
        """All texts of each video, in their order.

        Args:
            videos: Prepared ones.
            each: Called with every text.
            tick: Called with the number of texts that were asked for and came, or did not.
        """
        # What is kept is read twice rather than held: a corpus has more texts than a machine has memory.
        missing = {
            video.item for video in videos if video.texts and self.results.get(self.key(video)) is None
        }
        fresh = self._asked([video for video in videos if video.item in missing], tick)
        for video in videos:
            if video.item in missing:
                texts = next(fresh)
                if all(self._is_settled(text) for by in texts.values() for text in by.values()):
                    kept = texts
                    self.results.made(self.key(video), lambda kept=kept: kept)  # type: ignore[misc]
            else:
                texts = self._kept(video) if video.texts else {}
                tick(len(self.writers) * video.texts)
            for by_writer in texts.values():
                for text in by_writer.values():
                    each(text)
            yield video, texts

    def _kept(self, video: Result) -> Texts:
        found = self.results.get(self.key(video))
        if found is None:
            raise UserError(f"{self.results.folder}: texts were removed while the build ran; run it again")
        return found

    def _is_settled(self, text: WrittenText) -> bool:
        return text.status in (*SETTLED, "withheld")

    def _asked(self, videos: Sequence[Result], tick: Callable[[int], None]) -> Iterator[Texts]:
        """Ask for the texts of videos, some of them together, so that writers have enough to do."""
        waiting: list[list[TextRequest]] = []
        for requests in self.engine.map(self.prompting, videos):
            waiting.append(requests)
            if sum(map(len, waiting)) >= _AT_ONCE:
                yield from self._answered(waiting, tick)
                waiting = []
        yield from self._answered(waiting, tick)

    def _answered(
        self, videos: Sequence[Sequence[TextRequest]], tick: Callable[[int], None]
    ) -> Iterator[Texts]:
        requests = [request for video in videos for request in video]
        texts: Texts = {request.draft.key: {} for request in requests}
        if requests:
            with ThreadPoolExecutor(max(1, len(self.writers))) as pool:
                asked = {
                    name: pool.submit(writer.write, requests, name) for name, writer in self.writers.items()
                }
                for name, answers in asked.items():
                    for request, text in zip(requests, answers.result(), strict=True):
                        texts[request.draft.key][name] = text
            tick(len(self.writers) * len(requests))
        for video in videos:
            yield {request.draft.key: texts[request.draft.key] for request in video}


def writer_facts(writer: Any) -> dict[str, Any]:
    """What is told of a writer: where it is and what it was asked to do; never a key."""
    names = ("model", "base_url", "revision", "remote", "temperature", "seed", "max_tokens")
    return {name: getattr(writer, name) for name in names if hasattr(writer, name)}
