"""How the reward of an answer came about, step by step and in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.show.html import Html, el, number, signed, table
from app.show.terms import term
from app.show.words import component_words, plain
from medgrpo.rewards.penalties import PENALTY

__all__ = ["numbers_table", "reward_steps", "standing"]

Row = Mapping[str, Any]


def standing(part: Row) -> str | None:
    """Where a score lies among those from before this training; None if that is not known."""
    raw, p25, p50, p75 = (part[name] for name in ("raw", "p25", "p50", "p75"))
    if any(value is None or math.isnan(value) for value in (raw, p25, p50, p75)):
        return None
    if raw > p75:
        return "in the top quarter"
    if raw < p25:
        return "in the low quarter"
    return (
        "a typical score"
        if raw == p50
        else f"in the middle half, {'above' if raw > p50 else 'below'} typical"
    )


def reward_steps(row: Row) -> Html:
    """The steps of one answer as a list."""
    parts = [part for part in row["components"] if part["normalizer"] != PENALTY]
    rules = [part for part in row["components"] if part["normalizer"] == PENALTY and part["raw"] != 0.0]
    return el("ol", *map(_part, parts), *map(_rule, rules), _sum(row), _comparison(row), class_="steps")


def _part(part: Row) -> Html:
    name = el("strong", component_words(part["name"], part["metric"]))
    if part["status"] != "ok":
        return el("li", name, f": could not be measured ({plain(part['status']).lower()}).")
    where = standing(part)
    lines = [el("li", term("Measured", "measured"), f": {number(part['raw'], 3)}")]
    if where is not None:
        three = f"{number(part['p25'])} · {number(part['p50'])} · {number(part['p75'])}"
        lines.append(el("li", term("Before training", "quartiles"), f" ({three}): {where}"))
    factors = " × ".join(f"{plain(key).lower()} {number(value)}" for key, value in part["factors"])
    scaled = f": {number(part['normalised'], 3)}" + (f" = {factors}" if factors else "")
    lines.append(el("li", term("Scaled", "scaled"), scaled))
    product = number(part["weight"] * part["normalised"], 3)
    lines.append(
        el("li", term("Weight", "weight"), f": × {number(part['weight'])} gives ", el("strong", product))
    )
    return el("li", name, el("ul", *lines))


def _rule(part: Row) -> Html:
    lost = signed(part["weight"] * part["normalised"], 3)
    return el("li", el("strong", component_words(part["name"], part["metric"])), f": a rule takes {lost}")


def _sum(row: Row) -> Html:
    used = [part["weight"] * part["normalised"] for part in row["components"] if part["weight"] > 0]
    terms = " + ".join(number(value, 3) for value in used).replace("+ −", "− ")
    words = f" = {terms}" if len(used) > 1 and math.isfinite(row["reward"]) else ""
    return el("li", term("Reward", "reward"), words, " = ", el("strong", number(row["reward"], 3)))


def _comparison(row: Row) -> Html:
    mean, std = number(row["group_mean"], 3), number(row["group_std"], 3)
    return el(
        "li",
        term("Advantage", "advantage"),
        f": its group has {mean} on average and differs by ",
        term(std, "spread"),
        ", which makes ",
        el("strong", signed(row["advantage"], 3)),
    )


def numbers_table(rows: Sequence[Row]) -> Html:
    """All numbers of a group: a line for each answer and component."""
    head = [
        "Answer", "Part of the reward", "Measured", "Low quarter", "Typical", "Top quarter",
        "Scaled", "Weight", "Reward", "Group average", "Group spread", "Advantage",
    ]  # fmt: skip
    lines: list[list[object]] = []
    for k, row in enumerate(rows):
        parts = row["components"]
        span = max(1, len(parts))
        for position in range(span):
            line: list[object] = [el("td", str(k + 1), rowspan=span)] if position == 0 else []
            line += _part_cells(parts[position]) if parts else ["none", *[""] * 6]
            if position == 0:
                numbers = [number(row[name], 3) for name in ("reward", "group_mean", "group_std")]
                line += [el("td", text, rowspan=span) for text in (*numbers, signed(row["advantage"], 3))]
            lines.append(line)
    return table(head, lines, class_="numbers")


def _part_cells(part: Row) -> list[object]:
    factors = " × ".join(f"{plain(name).lower()} {number(value)}" for name, value in part["factors"])
    return [
        el("td", component_words(part["name"], part["metric"]), el("div", part["metric"], class_="muted")),
        number(part["raw"], 3) if part["status"] == "ok" else f"failed: {plain(part['status']).lower()}",
        number(part["p25"], 3),
        number(part["p50"], 3),
        number(part["p75"], 3),
        el(
            "td",
            number(part["normalised"], 3),
            el("div", f"= {factors}", class_="muted") if factors else None,
        ),
        number(part["weight"]),
    ]
