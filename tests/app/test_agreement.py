"""The agreement page: right numbers, none of too few, and a form that prepares reviews."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, expect

from app.agreement.answers import ReviewedAnswers
from app.agreement.measures import compare
from app.agreement.page import Board
from app.agreement.prepare import prepare
from app.context import Context
from app.review.desk import RUBRIC
from app.review.reviews import Reviews
from medgrpo.errors import UserError
from medgrpo.evaluation.raters import alpha, kappa, spearman
from medgrpo.evaluation.verdict_store import VerdictStore
from medgrpo.evaluation.verdicts import Verdict, answer_hash
from medgrpo.rewards.judges import load_rubric
from tests.app.browsing import serving, watched
from tests.app.review_scene import make_context
from tests.app.scene import ATTACK
from tests.app.test_html import Reader

NAMES = ("terminology", "identification", "specificity", "context", "action")


def judge(context: Context, reviewer: str, count: int, kinder: int = 0, **more: Any) -> None:
    """Verdicts about the first answers, near to the judge's."""
    store = VerdictStore(context.workspace.verdicts)
    for number in range(count):
        step, index = divmod(number, 8)
        row = context.index.group("demo", step, f"summary-{step}")[index]
        content = answer_hash(row["question"], row["reference_text"], row["completion_text"])
        given = {one["dimension"]: one["score"] for one in row["judge"]["dimensions"]}
        scores = {
            name: float(np.clip(score + kinder * (number % 3 == 0), 1, 5)) for name, score in given.items()
        }
        values = {"scores": scores, "accepted": number % 2 == 0, "content": content, "blind": True, **more}
        store.add(Verdict(("demo", step, f"summary-{step}", index), reviewer, **values))
    store.close()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return make_context(tmp_path, rounds=4)


def text_of(markup: str) -> str:
    return " ".join("".join(text for _, text in Reader(markup).texts).split())


def test_numbers_are_those_of_the_measures(context: Context) -> None:
    judge(context, "ada", 32)
    judge(context, "bob", 24, kinder=1)
    pairs = ReviewedAnswers(context.index).of(VerdictStore(context.workspace.verdicts).present())
    assert len(pairs) == 56
    compared = compare(pairs, load_rubric(RUBRIC))
    found = {(one.dimension, one.raters): one for one in compared if len(one.measures) == 2}
    assert len(found) == 6 * 3
    by = {
        name: {a.key: v.scores["action"] for v, a in pairs if v.reviewer == name} for name in ("ada", "bob")
    }
    both = np.array([[by["ada"][key], by["bob"][key]] for key in by["bob"]]).T
    measured = found["action", ("ada", "bob")]
    assert measured.items == 24
    assert [one.value for one in measured.measures] == pytest.approx([kappa(both), spearman(both)])
    with_judge = found["action", ("ada", "judge")]
    assert with_judge.items == 32
    assert with_judge.measures[0].value == pytest.approx(1.0)
    alphas = {(one.dimension, one.raters): one for one in compared if len(one.measures) == 1}
    assert len(alphas) == 6 * 2
    assert alphas["action", ("ada", "bob")].measures[0].value == pytest.approx(alpha(both))
    three = alphas["action", ("ada", "bob", "judge")]
    assert three.items == 32
    [judged] = [[a.judge["action"] for v, a in pairs if v.reviewer == "ada"]]
    ada = list(by["ada"].values())
    bob = [by["bob"].get(key, math.nan) for key in by["ada"]]
    assert three.measures[0].value == pytest.approx(alpha(np.array([ada, bob, judged])))


def test_nothing_is_told_below_twenty_shared_answers(context: Context) -> None:
    judge(context, "ada", 19)
    judge(context, "bob", 12)
    words = text_of(Board(context).tables(["", "", "", ""], True))
    assert "31 verdicts of 2 reviewers" in words
    assert "8 more shared answers are needed" in words
    assert "1 more shared answer is needed" in words
    assert "very good" not in words.partition("All reviewers together")[2].lower()


def test_filters_blindness_and_remarks(context: Context, tmp_path: Path) -> None:
    board = Board(context)
    assert "no verdicts yet" in board.tables(["", "", "", ""], True)
    judge(context, "ada", 24)
    judge(context, "bob", 24, blind=False)
    judge(context, "eve", 24, wrong_reference=True)
    assert [[value for _, value in choices] for choices in board.choices()] == [
        ["", "demo"],
        ["", "CholecT50"],
        ["", "video_summary"],
        ["", "c0ffee"],
    ]
    blind = text_of(board.tables(["demo", "CholecT50", "video_summary", "c0ffee"], True))
    assert "48 verdicts of 2 reviewers" in blind
    assert "24 say that the reference is wrong" in blind
    assert "ada and bob" not in blind
    assert "ada and bob" in text_of(board.tables(["", "", "", ""], False))
    assert "No verdict passes these filters" in board.tables(["", "AVOS", "", ""], True)
    shutil.rmtree(tmp_path / "runs" / "rollouts")
    context.index.refresh()
    gone = text_of(Board(context).tables(["", "", "", ""], True))
    assert "No verdict passes" in gone


def test_a_name_that_is_the_judges_or_hostile_stays_apart(context: Context) -> None:
    judge(context, "judge", 20)
    judge(context, ATTACK, 20)
    page = Board(context).tables(["", "", "", ""], True)
    words = text_of(page)
    assert "judge (reviewer) and judge" in words
    assert f"{ATTACK} and judge" in words
    assert not {"img", "script"} & set(Reader(page).tags)


def test_remarks_lead_to_their_answers(context: Context) -> None:
    judge(context, "ada", 3)
    judge(context, "bob", 2, unsafe=True, comment="He cuts <b>blind</b>.")
    judge(context, "eve", 1, unjudgeable=True)
    page = Board(context).tables(["", "", "", ""], True)
    read = Reader(page)
    words = text_of(page).partition("Remarks and comments")[2]
    assert words.startswith(" (3)")
    assert words.index("eve") < words.index("bob")
    assert words.count("He cuts <b>blind</b>.") == words.count("Unsafe") == 2
    assert "ada" not in words
    links = [value for key, value in read.attributes if key == "href"]
    assert links[0] == "/training/?run=demo&step=0&group=summary-0"


def test_a_judge_by_other_rules_is_not_compared(context: Context, tmp_path: Path) -> None:
    judge(context, "ada", 24)
    for path in sorted((tmp_path / "runs").rglob("*.parquet")):
        table = pq.ParquetFile(path).read()
        rows = table.to_pylist()
        for row in rows:
            if row["judge"]:
                row["judge"]["rubric"] = "medvidbench-best5@1"
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    context.index.refresh()
    words = text_of(Board(context).tables(["", "", "", ""], True))
    assert "by other rules (medvidbench-best5@1) than the reviewers" in words
    assert "ada and judgeAll marks020 more shared answers are needed" in words


def wish(**more: Any) -> dict[str, Any]:
    values = {"run": "demo", "rounds": (1, 9), "tasks": ["video_summary"], "size": 20, "share": 40}
    return {**values, "reviewers": 2, "seed": 1, "rubric": "medgrpo-five@1", **more}


def test_a_review_is_prepared_as_asked(context: Context) -> None:
    reviews = Reviews(context.workspace.reviews)
    made = prepare(context, reviews, "ada", **wish())
    assert reviews.all() == [made]
    assert len(made.items) == 20
    assert (made.plan.shared, made.plan.reviewers, made.plan.first) == (8, 2, 1)
    assert {item.drawn.place[0] for item in made.items} <= {1, 2, 3}
    few = prepare(context, reviews, "ada", **wish(size=4000, rounds=(2, 2)))
    assert (len(few.items), few.plan.shared) == (8, 3)
    listing = Board(context).listing()
    assert "Review 2 (8 answers): run demo" in text_of(listing)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"run": None}, "Choose a training run"),
        ({"tasks": []}, "at least one kind"),
        ({"size": None}, "number of answers must be a whole number"),
        ({"size": 0}, "number of answers must be"),
        ({"size": 2.5}, "number of answers must be"),
        ({"share": 101}, "share for everybody must be"),
        ({"reviewers": 0}, "number of reviewers must be"),
        ({"seed": -1}, "seed must be"),
        ({"rounds": (9, 10)}, "no answers of these kinds in these rounds"),
        ({"rounds": (-1, 2)}, "A round must be"),
    ],
)
def test_what_makes_no_sense_is_said(context: Context, more: dict[str, Any], message: str) -> None:
    reviews = Reviews(context.workspace.reviews)
    with pytest.raises(UserError, match=message):
        prepare(context, reviews, "ada", **wish(**more))
    assert reviews.all() == []


@pytest.fixture
def address(context: Context) -> Iterator[str]:
    judge(context, "ada", 24)
    judge(context, ATTACK, 24, kinder=1)
    with serving(context.index.folder) as found:
        yield found


@pytest.mark.browser
def test_the_page_compares_and_prepares(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}review/") as page:
        expect(page.locator("#review-item")).to_contain_text("There is nothing to review yet")
        page.goto(f"{address}agreement/")
        tables = page.locator("#agreement-tables")
        expect(tables).to_contain_text("48 verdicts of 2 reviewers")
        expect(tables.locator("table")).to_have_count(3)
        expect(tables).to_contain_text("onerror")
        assert page.locator("[onerror]").count() == 0
        assert page.evaluate("window.hacked") is None
        page.get_by_text("What do these numbers mean?").click()
        expect(tables).to_contain_text("beyond what chance would give")
        page.get_by_label("Answers", exact=True).fill("0")
        page.get_by_role("button", name="Prepare the review").click()
        expect(page.locator("#prepare-said")).to_contain_text("must be a whole number from 1")
        page.get_by_label("Answers", exact=True).fill("10")
        page.get_by_role("button", name="Prepare the review").click()
        expect(page.locator("#prepare-said")).to_contain_text("Review 1 (10 answers) is ready")
        expect(page.locator("#prepare-list")).to_contain_text("4 for all of 2 reviewers")
        page.goto(f"{address}review/")
        page.get_by_label("Your name").fill("Ada")
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#review-progress")).to_contain_text("0 of 7")
