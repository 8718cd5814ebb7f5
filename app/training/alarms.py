"""What should worry whoever watches a run, in plain words, with the way to where it can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from app.index.rounds import PairCounts
from app.show.html import Html, el, number
from app.show.words import task_words
from medgrpo.rollout.collapse import Collapse, CollapseRules
from medgrpo.rollout.metrics import pair_prefix

__all__ = [
    "FLAT_SHARE",
    "UNJUDGED_SHARE",
    "Alarm",
    "alarms_card",
    "collapse_alarms",
    "collapses",
    "count_alarms",
]

FLAT_SHARE = 0.5
"""Share of groups without a difference from which on a dataset and task hardly teaches anything."""

UNJUDGED_SHARE = 0.05
"""Share of judgements that may fail before it is told; networks fail now and then."""

_COLLAPSES = {
    "reward_mean": (
        "The reward fell to {value}, below {floor}: answers got worse since the first round.",
        "reward",
    ),
    "parse_rate": ("Only {percent} of the answers can still be read.", "format"),
    "entropy": (
        "The model hardly hesitates any more ({value} nats, limit {floor}): it may always give the same "
        "answer.",
        "surprise",
    ),
    "canary_auc": (
        "The judge can no longer tell a reference from a worthless answer ({value}, limit {floor}).",
        "judge",
    ),
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """One worry.

    Attributes:
        about: Dataset and task in words; empty for the whole run.
        sentence: What is the matter.
        link: Query of the page that shows it.
        way: What the link says.
    """

    about: str
    sentence: str
    link: str
    way: str


def collapses(
    rounds: Mapping[int, Mapping[str, float]],
    logged: Mapping[int, Mapping[str, float]],
    rules: CollapseRules,
) -> list[Collapse]:
    """What the trainer's alarm says in the last round.

    Args:
        rounds: Numbers from the rollout store.
        logged: Numbers that the trainer logged, which go before those: its entropy is exact.
        rules: The alarm's, without memory yet.
    """
    found: list[Collapse] = []
    for step in sorted(rounds):
        found = rules.judge({**rounds[step], **logged.get(step, {})})
    return found


def collapse_alarms(found: Sequence[Collapse], run: str, pairs: Sequence[tuple[str, str]]) -> list[Alarm]:
    """In plain words.

    Args:
        found: By :func:`collapses`.
        run: The run.
        pairs: Its datasets and tasks.
    """
    names = {pair_prefix(pair): pair for pair in pairs}
    alarms = []
    for one in found:
        prefix, _, metric = one.name.rpartition("/")
        words, measure = _COLLAPSES[metric]
        pair = names.get(prefix)
        sentence = words.format(
            value=number(one.value), floor=number(one.floor), percent=f"{100 * one.value:.0f}%"
        )
        link = urlencode({"run": run, "show": measure})
        alarms.append(Alarm(_about(*pair) if pair else "", sentence, link, "See the curve"))
    return alarms


def count_alarms(counts: Sequence[PairCounts], run: str) -> list[Alarm]:
    """Groups that teach nothing, rewards and judgements that failed, in the last rounds."""
    alarms = []
    for pair in counts:
        about = _about(pair.dataset, pair.task)
        where = {"run": run, "tab": "answers", "dataset": pair.dataset, "task": pair.task}
        if pair.flat >= FLAT_SHARE * pair.groups:
            sentence = (
                f"In {pair.flat} of the last {pair.groups} groups all answers got the same reward, so there "
                "was nothing to learn from."
            )
            alarms.append(Alarm(about, sentence, urlencode(where), "See the groups"))
        if pair.unrewarded:
            sentence = (
                f"In {pair.unrewarded} of the last {pair.groups} groups a reward could not be computed."
            )
            alarms.append(Alarm(about, sentence, urlencode(where), "See the groups"))
        if pair.unjudged > UNJUDGED_SHARE * pair.judged:
            sentence = f"The judge gave no marks for {pair.unjudged} of the last {pair.judged} answers."
            alarms.append(Alarm(about, sentence, urlencode({"run": run, "show": "judge"}), "See the curve"))
    return alarms


def _about(dataset: str, task: str) -> str:
    return f"{dataset}, {task_words(task)}"


def alarms_card(alarms: Sequence[Alarm]) -> Html:
    """The list of alarms, or that there is none."""
    if not alarms:
        return el(
            "p",
            "✔ Nothing looks wrong: rewards, readability, variety and the judge hold.",
            class_="note good",
        )
    items = [
        el(
            "li",
            *([el("strong", alarm.about), ": "] if alarm.about else []),
            alarm.sentence,
            " ",
            el("a", alarm.way, href=f"?{alarm.link}"),
        )
        for alarm in alarms
    ]
    head = "One thing to look at" if len(alarms) == 1 else f"{len(alarms)} things to look at"
    return el("section", el("h3", f"⚠ {head}"), el("ul", *items), class_="note warning alarms", role="status")
