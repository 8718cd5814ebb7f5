"""Then and now: where typical answers stood before training, where they stand now, and what that means."""

from __future__ import annotations

from collections.abc import Sequence

from app.index.quartiles import Box, ThenAndNow
from app.show.boxes import box_rows
from app.show.html import Html, el, join, number
from app.show.terms import term
from app.show.words import component_words, task_words

__all__ = ["NARROW", "drift_page", "drift_words"]

NARROW = 0.25
"""Share of the former middle half from which on answers count as having become alike."""


def drift_words(then: Box | None, now: Box) -> list[tuple[str, str]]:
    """What the boxes say.

    Returns:
        (kind, sentence) each; kind is up, down or flat.
    """
    if then is None:
        return [("flat", "How answers scored before this training was not recorded.")]
    if now.p50 > then.p75:
        words = [("up", "▲ Typical answers now score above the top quarter from before training.")]
    elif now.p50 < then.p25:
        words = [("down", "▼ Typical answers now score below the low quarter from before training.")]
    elif now.p50 == then.p50:
        words = [("flat", "● Typical answers score as before training.")]
    else:
        side = "better" if now.p50 > then.p50 else "worse"
        sign = "▲" if side == "better" else "▼"
        words = [
            ("flat", f"{sign} Typical answers now score {side} than before, within the former middle half.")
        ]
    if then.p75 > then.p25 and now.p75 - now.p25 < NARROW * (then.p75 - then.p25):
        words.append(
            ("down", "▼ Answers have become alike: their middle half is less than a quarter as wide.")
        )
    return words


def drift_page(found: Sequence[ThenAndNow], last: int) -> Html | None:
    """A card for each dataset, task and component.

    Args:
        found: What to show.
        last: Rounds that are now.
    """
    if not found:
        return None
    order = sorted(found, key=lambda one: (task_words(one.task), one.dataset, one.component))
    intro = el(
        "p",
        "The box holds the middle half of the scores, the thick mark is the ",
        term("typical score", "quartiles"),
        f". Before: as measured before this training, it never changes. Now: the last {last} rounds in which "
        "the dataset occurs.",
        class_="muted",
    )
    return join([intro, el("div", *(_card(one) for one in order), class_="charts compact")])


def _card(one: ThenAndNow) -> Html:
    now = (one.now.p25, one.now.p50, one.now.p75)
    then = one.then and (one.then.p25, one.then.p50, one.then.p75)
    rows = [("before", then), ("now", now)] if then else [("now", now)]
    words = [task_words(one.task), component_words(one.component)]
    label = f"{one.dataset}, {', '.join(words)}: typical score now {number(one.now.p50)}"
    if one.then:
        label += f", before {number(one.then.p50)}"
    said = [el("p", sentence, class_=f"effect {kind}") for kind, sentence in drift_words(one.then, one.now)]
    return el(
        "div",
        el("h4", one.dataset, el("small", f"{one.count:,} answers")),
        el("p", " · ".join(words), class_="muted"),
        box_rows(rows, label),
        *said,
        class_="card drift",
    )
