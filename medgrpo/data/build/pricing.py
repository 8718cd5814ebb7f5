"""What a build would ask for and what that would cost, without a request.

Tokens are estimated from the length of the text, and of pictures by an assumed number each: servers differ,
and tell the true one afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medgrpo.data.build.items import Draft, Transcript
from medgrpo.data.build.prepare import Prepared
from medgrpo.data.build.prompting import PromptPolicy, text_of
from medgrpo.data.build.templates import SourceTexts
from medgrpo.data.build.writer_pictures import pictures_shown
from medgrpo.data.build.writers import ChatWriter, Writer
from medgrpo.services.chat_message import PICTURE_TOKENS

__all__ = ["BYTES_PER_TOKEN", "EXPECTED_TOKENS", "Demand", "demand_of", "price"]

BYTES_PER_TOKEN = 4.0
"""Of English text, as providers state it."""

EXPECTED_TOKENS: Mapping[str, int] = {"video_summary": 70, "region_caption": 45, "dense_captioning": 40}
"""Of a reply; of dense captions, of each event."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one writer would be asked for.

    Attributes:
        questions: That have their answer already.
        requests: Texts to write.
        pictures: Sent with them.
        prompt_tokens: Estimated, pictures included.
        completion_tokens: Expected.
    """

    questions: int = 0
    requests: int = 0
    pictures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Demand) -> Demand:
        return Demand(
            self.questions + other.questions,
            self.requests + other.requests,
            self.pictures + other.pictures,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


def demand_of(
    prepared: Prepared, texts: SourceTexts, policy: PromptPolicy, transcript: Transcript | None = None
) -> Demand:
    """What a video's questions ask for.

    Args:
        prepared: The video; pictures need not be on the disk.
        texts: Of its source.
        policy: What writers are shown.
        transcript: What is said; None takes the video's own.
    """
    found = Demand()
    for clip in prepared.clips:
        for draft in clip.drafts:
            if draft.answer is not None:
                found += Demand(questions=1)
                continue
            pictures = pictures_shown(draft, clip.pictures, policy.pictures.most)
            text = text_of(draft, prepared.video, texts, transcript or prepared.transcript, policy)
            tokens = round(len(text.encode()) / BYTES_PER_TOKEN) + pictures * PICTURE_TOKENS
            found += Demand(0, 1, pictures, tokens, _expected(draft))
    return found


def price(demand: Demand, writers: Mapping[str, Writer]) -> dict[str, float | None]:
    """What each writer would cost, in the currency of its price table; None without a price."""
    found: dict[str, float | None] = {}
    for name, writer in writers.items():
        told = writer.limits.price(writer.model) if isinstance(writer, ChatWriter) else None
        found[name] = None if told is None else told.of(demand.prompt_tokens, demand.completion_tokens)
    return found


def _expected(draft: Draft) -> int:
    return EXPECTED_TOKENS[draft.task] * max(1, len(draft.events))
