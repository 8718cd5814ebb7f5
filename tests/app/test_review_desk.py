"""What a reviewer does at the desk, without a browser."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.context import Context
from app.review.desk import Desk, Draft, Place, clean_name
from app.review.download import add_downloads
from app.review.reviews import Review, Reviews, run_id
from app.review.sampler import EVERYBODY
from app.review.view import empty_view
from app.site.access import SESSION
from app.site.sessions import Session
from medgrpo.errors import UserError
from medgrpo.evaluation.verdict_store import stored_verdicts
from medgrpo.evaluation.verdicts import answer_hash
from tests.app.review_scene import make_context, make_review
from tests.app.scene import ATTACK
from tests.app.test_html import Reader

DRAFT = Draft({"action": 4, "context": 2}, True, ("unsafe",), "so")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return make_context(tmp_path, rounds=4)


@pytest.fixture
def desk(context: Context) -> Desk:
    make_review(context)
    return Desk(context)


def judge_all(desk: Desk, reviewer: str) -> list[str]:
    place, _ = desk.show(Place(reviewer, 1))
    tokens = []
    while place.token:
        tokens.append(place.token)
        place, _ = desk.show(desk.save(place, DRAFT))
    return tokens


def audited(context: Context) -> list[tuple[str, str]]:
    rows = sqlite3.connect(context.workspace.audit).execute("SELECT user, action FROM audit ORDER BY id")
    return rows.fetchall()


def test_each_reviewer_gets_the_promised_answers_once(desk: Desk) -> None:
    review = desk.reviews.all()[0]
    seat_of = {item.token: item.drawn.seat for item in review.items}
    ada, bob = judge_all(desk, "ada"), judge_all(desk, "bob")
    assert [len(ada), len(bob)] == [8, 8]
    assert set(ada) & set(bob) == {token for token, seat in seat_of.items() if seat == EVERYBODY}
    assert {seat_of[token] for token in ada} == {EVERYBODY, 0}
    assert set(ada) | set(bob) == set(seat_of)
    # A third one beyond the seats shares what everybody gets.
    assert sorted(judge_all(desk, "eve")) == sorted(set(ada) & set(bob))
    assert len(desk.verdicts.present()) == 20
    page = desk.progress(Place("eve", 1))
    for words in ("ada: 8 of 8", "bob: 8 of 8", "eve (you): 4 of 4"):
        assert words in page
    assert "All 8 of your answers are judged" in desk.show(Place("ada", 1))[1]


def test_a_verdict_is_kept_with_all_that_was_said_and_read(desk: Desk, context: Context) -> None:
    place, shown = desk.show(Place("ada", 1))
    review = desk.reviews.all()[0]
    item = next(item for item in review.items if item.token == place.token)
    desk.save(place, replace(DRAFT, comment="x" * 3000))
    [verdict] = stored_verdicts(context.workspace.verdicts)
    step, group_id, index = item.drawn.place
    row = context.index.group("demo", step, group_id)[index]
    assert verdict.key == ("demo", step, group_id, index)
    assert verdict.content == answer_hash(row["question"], row["reference_text"], row["completion_text"])
    assert (verdict.scores, verdict.accepted) == ({"action": 4.0, "context": 2.0}, True)
    assert (verdict.unsafe, verdict.wrong_reference, verdict.blind) == (True, False, True)
    assert (verdict.rubric, len(verdict.comment)) == ("medgrpo-five@1", 2000)
    words = " ".join("".join(text for _, text in Reader(shown).texts).split())
    assert (row["completion_text"] or "(The answer is empty.)") in words
    assert ATTACK in words  # of the question
    assert audited(context) == [("ada", "view item"), ("ada", "save verdict")]
    # Another desk, as after a restart or a reload, goes on with the next one.
    again, _ = Desk(context).show(Place("ada", 1))
    assert again.token not in ("", place.token)


def test_undo_shows_the_last_one_again_and_a_correction_supersedes(desk: Desk) -> None:
    with pytest.raises(UserError, match="nothing to take back"):
        desk.undo(Place("ada", 1))
    first, _ = desk.show(Place("ada", 1))
    second, _ = desk.show(desk.save(first, DRAFT))
    place, draft = desk.undo(second)
    assert draft == DRAFT
    shown, _ = desk.show(place)
    assert (shown.token, shown.content) == (first.token, first.content)
    assert desk.verdicts.present() == []
    desk.save(shown, Draft({"action": 1}))
    [verdict] = desk.verdicts.present()
    assert verdict.scores == {"action": 1.0}
    assert verdict.blind
    assert desk.verdicts.version() == 3


def test_the_judge_is_shown_after_the_verdict_and_remembered(desk: Desk, context: Context) -> None:
    place, shown = desk.show(Place("ada", 1))
    for early in (place, replace(place, last=place.token)):
        with pytest.raises(UserError, match="Save a verdict first"):
            desk.reveal(early)
    assert "Names the cystic artery" not in shown
    saved = desk.save(place, DRAFT)
    page = desk.reveal(saved)
    assert "What the judge said" in page
    assert not {"script", "img", "iframe"} & set(Reader(page).tags)
    # Whoever has seen it and judges again is not blind any more.
    again, _ = desk.show(desk.undo(saved)[0])
    desk.save(again, DRAFT)
    assert [verdict.blind for verdict in desk.verdicts.present("ada")] == [False]
    assert ("ada", "reveal judge") in audited(context)


def test_nothing_said_is_no_verdict_and_skipped_answers_come_back(desk: Desk) -> None:
    place, _ = desk.show(Place("ada", 1))
    for empty in (Draft({}), Draft({}, comment="only a comment")):
        with pytest.raises(UserError, match="Say something first"):
            desk.save(place, empty)
    seen = []
    while place.token:
        seen.append(place.token)
        place, shown = desk.show(desk.skip(place))
    assert len(set(seen)) == 8
    assert "You skipped 8 of your answers" in shown
    with pytest.raises(UserError, match="no answer to save"):
        desk.save(place, DRAFT)
    assert desk.show(Place("ada", 1))[0].token == seen[0]


def test_a_run_that_vanishes_is_said_without_its_name(desk: Desk, tmp_path: Path) -> None:
    place, _ = desk.show(Place("ada", 1))
    shutil.rmtree(tmp_path / "runs" / "rollouts")
    saved = desk.save(place, DRAFT)  # what was read can still be judged
    lost, shown = desk.show(saved)
    assert "cannot be read any more" in shown
    assert lost.token in shown
    assert not lost.content
    assert "demo" not in shown
    assert "runs" not in shown
    with pytest.raises(UserError, match="no answer to save"):
        desk.save(lost, DRAFT)
    with pytest.raises(UserError, match="moved or deleted"):
        desk.reveal(saved)
    assert desk.show(desk.skip(lost))[0].token not in ("", lost.token)


def test_what_is_not_logged_is_not_shown(desk: Desk, context: Context) -> None:
    context.audit._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(UserError, match="audit log cannot be written"):
        desk.show(Place("ada", 1))


def test_names_have_one_form() -> None:
    assert clean_name("  Dr.\u202e A\u0301da\n B  ") == "Dr. Áda B"
    assert clean_name("<b>") == "<b>"
    for wrong, message in (
        ("", "Write your name"),
        ("\u200b \n", "Write your name"),
        ("x" * 61, "at most 60"),
    ):
        with pytest.raises(UserError, match=message):
            clean_name(wrong)


def test_two_dashboards_seat_each_reviewer_once(context: Context) -> None:
    review = make_review(context)
    first, second = (Reviews(context.workspace.reviews) for _ in range(2))
    assert [first.sit(review, "ada"), second.sit(review, "bob"), first.sit(review, "eve")] == [0, 1, None]
    assert [second.sit(review, "ada"), first.sit(review, "bob")] == [0, 1]
    assert second.seats(review) == {"ada": 0, "bob": 1}
    assert second.all() == [review]
    newer = make_review(context, size=3, shared=0)
    assert [one.number for one in first.all()] == [newer.number, review.number]
    assert len({item.token for item in review.items}) == 12
    other = sqlite3.connect(context.workspace.reviews, isolation_level=None)
    for statement in ("UPDATE review SET plan = ''", "DELETE FROM seat", "DELETE FROM review"):
        with pytest.raises(sqlite3.IntegrityError, match="only added"):
            other.execute(statement)
    assert run_id("a/b/run") == run_id("run") == "run"


def test_one_plan_draws_the_same_answers_under_other_names(context: Context) -> None:
    first, second = make_review(context), make_review(context)

    def order(review: Review) -> list[object]:
        return [item.drawn for item in review.items_of(0)]

    assert order(first) == order(second)
    assert not {item.token for item in first.items} & {item.token for item in second.items}


def test_empty_pages_say_what_to_do(desk: Desk) -> None:
    assert "Prepare a review" in empty_view(has_runs=True)
    assert "No answers of a model were found" in empty_view(has_runs=False)
    with pytest.raises(UserError, match="Reload the page"):
        desk.show(Place("ada", 99))


def client(context: Context, session: Session | None) -> TestClient:
    app = FastAPI()
    add_downloads(app, context)

    async def asked(scope: dict[str, object], receive: object, send: object) -> None:
        await app({**scope, SESSION: session}, receive, send)  # type: ignore[arg-type]

    return TestClient(asked)  # type: ignore[arg-type]


def test_downloads_hold_what_one_may_read(desk: Desk, context: Context) -> None:
    judge_all(desk, "ada")
    judge_all(desk, "=bob")
    local = client(context, None)
    assert local.get("/verdicts/csv").text.count("\r\n") == 1 + 16
    assert local.get("/verdicts/csv?reviewer=ada").text.count("\r\n") == 1 + 8
    answer = local.get("/verdicts/csv?reviewer=%3Dbob")
    assert answer.text.count(",'=bob,") == 8
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    assert local.get("/verdicts/exe").status_code == 404
    assert local.get("/verdicts/parquet").content.startswith(b"PAR1")
    own = client(context, Session("ada", "reviewer", 0.0))
    for asked in ("/verdicts/jsonl", "/verdicts/jsonl?reviewer=%3Dbob"):
        assert own.get(asked).text.count('"reviewer": "ada"') == 8
        assert "bob" not in own.get(asked).text
    assert client(context, Session("eve", "researcher", 0.0)).get("/verdicts/jsonl").text.count("\n") == 16
    assert ("ada", "download verdicts") in audited(context)
