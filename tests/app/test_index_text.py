"""Search in texts: what is found, what people may type, and what may happen to the index on the disk."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.index import GroupFilter, RolloutIndex
from app.index.documents import match_expression
from app.index.scan import Scan
from app.index.texts import TextIndex
from medgrpo.errors import UserError
from medgrpo.rollout.compaction import compact_run
from medgrpo.rollout.store import RolloutStore
from medgrpo.types import Judgement
from tests.rollout.rollouts import make_rollout, make_sample

TEXTS = (
    "The surgeon divides the cystic artery.",
    "The hook dissects Calot's triangle; the Galle flows.",
    "The galle is naïve, artery of the cystic kind",
)


def write(root: Path, steps: int = 3) -> RolloutStore:
    store = RolloutStore(root, "r")
    reason = Judgement("m", "r", {"action": 4.0}, {"action": "Haemostasis is missing"})
    for step in range(steps):
        store.write(
            step,
            [
                make_rollout(
                    make_sample(question=f"What is seen in clip{step}?", answer="A knot."),
                    text if index < 2 else TEXTS[2],
                    index=index,
                    group_id=f"g{number}",
                    value=0.1 * number,
                    judgement=reason if number == 0 else None,
                )
                for number, text in enumerate(TEXTS)
                for index in range(3)
            ],
        )
    return store


@pytest.fixture
def index(tmp_path: Path) -> Iterator[RolloutIndex]:
    write(tmp_path / "runs")
    (tmp_path / "own").mkdir()
    found = RolloutIndex(tmp_path / "runs")
    found.refresh()
    found.keep_in(tmp_path / "own")
    found.work_in_background()
    wait_for(found)
    yield found
    found.close()


def wait_for(index: RolloutIndex, waiting: int = 0) -> None:
    until = time.monotonic() + 60
    while index.search_state().waiting != waiting and time.monotonic() < until:
        time.sleep(0.01)
    assert index.search_state().waiting == waiting


def found(index: RolloutIndex, text: str, **filters: object) -> set[tuple[int, str]]:
    rows, total = index.groups(GroupFilter(text=text, **filters))  # type: ignore[arg-type]
    assert total == len(rows)
    return {(row.step, row.group_id) for row in rows}


def every(*groups: str) -> set[tuple[int, str]]:
    return {(step, group) for step in range(3) for group in groups}


def test_words_phrases_and_beginnings_are_found_in_all_texts(index: RolloutIndex) -> None:
    assert found(index, "divides") == every("g0")
    assert found(index, "HOOK triangle") == every("g1")
    assert found(index, '"cystic artery"') == every("g0")
    assert found(index, "cystic artery") == every("g0", "g1", "g2")
    assert found(index, "diss*") == every("g1")
    assert found(index, "naive") == every("g0", "g1", "g2")
    assert found(index, "haemostasis") == every("g0")  # in the judge's reasons
    assert found(index, "clip1 knot") == {(1, "g0"), (1, "g1"), (1, "g2")}  # question and reference
    assert found(index, "v1&&0 g2") == every("g2")  # names
    assert found(index, '"knot divides"') == set()  # no phrase across two texts
    assert found(index, "nowhere") == set()
    assert index.search_state().message == ""


def test_search_goes_with_filters_orders_and_pages(index: RolloutIndex) -> None:
    assert found(index, "artery", step=2, reward_from=0.15) == {(2, "g2")}
    rows, total = index.groups(GroupFilter("r", text="artery"), "best", offset=3, limit=2)
    assert (total, [row.group_id for row in rows]) == (9, ["g1", "g1"])


@pytest.mark.parametrize(
    "typed",
    ['"', '""', "*", "a*b", 'x"y', "NEAR(", "OR", "AND NOT", "text:artery", "-a", "^a", "(", "a+b", "'", "\0",
     "\ud800", "; DROP TABLE documents", "{a b}: c", "a" * 5000, "#!?", "{{7*7}} <img src=x>"],
)  # fmt: skip
def test_whatever_is_typed_is_no_syntax_error(tmp_path: Path, typed: str) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE t USING fts5 (text, content = '')")
    if expression := match_expression(typed):
        database.execute("SELECT rowid FROM t WHERE t MATCH ?", (expression,)).fetchall()
    else:
        assert not any(letter.isalnum() for letter in typed.replace("\ud800", ""))


def test_many_words_are_one_line_and_no_words_let_all_pass(index: RolloutIndex) -> None:
    with pytest.raises(UserError, match="too many words"):
        found(index, "word " * 2000)
    assert found(index, " ?! ") == every("g0", "g1", "g2")


def test_new_replaced_and_merged_shards_are_followed(index: RolloutIndex, tmp_path: Path) -> None:
    RolloutStore(tmp_path / "runs", "r").write(2, [make_rollout(make_sample(), "pericardium", group_id="n")])
    index.refresh()
    wait_for(index)
    assert found(index, "pericardium") == {(2, "n")}
    assert found(index, "divides") == {(0, "g0"), (1, "g0")}
    compact_run(tmp_path / "runs", "r", keep_last=1)
    index.refresh()
    wait_for(index)
    assert found(index, "divides") == {(0, "g0"), (1, "g0")}
    assert [row["completion_text"] for row in index.group("r", 1, "g0")] == [TEXTS[0], TEXTS[0], TEXTS[2]]


def test_a_deleted_or_damaged_index_is_built_anew(index: RolloutIndex, tmp_path: Path) -> None:
    index.close()
    file = tmp_path / "own" / "texts.sqlite"
    for content in (b"no database" * 500, file.read_bytes()[:5000] + bytes(3000), None):
        for path in file.parent.glob("texts.sqlite*"):
            path.unlink()
        if content is not None:
            file.write_bytes(content)
        again = RolloutIndex(tmp_path / "runs")
        again.refresh()
        assert found(again, "divides") == set()
        again.keep_in(tmp_path / "own")
        again.work_in_background()
        wait_for(again)
        assert found(again, "divides") == every("g0")
        again.close()


def test_a_full_disk_is_a_message_and_search_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "runs", steps=24)
    parts, _ = Scan(tmp_path / "runs").look()
    texts = TextIndex(tmp_path)
    texts.want([])
    assert texts.build()
    texts.want(parts)
    whole = TextIndex._open

    def small(self: TextIndex, mode: str) -> sqlite3.Connection:
        database = whole(self, mode)
        database.execute("PRAGMA max_page_count = 1").fetchall()  # it cannot grow
        return database

    with monkeypatch.context() as patched:
        patched.setattr(TextIndex, "_open", small)
        assert texts.build()
    assert "full" in texts.message
    assert texts.waiting(parts)
    assert texts.build()
    assert (texts.message, texts.waiting(parts)) == ("", [])


def test_one_of_two_dashboards_builds_and_both_read(tmp_path: Path) -> None:
    write(tmp_path / "runs")
    parts, _ = Scan(tmp_path / "runs").look()
    one, other = TextIndex(tmp_path), TextIndex(tmp_path)
    one.want(parts)
    other.want(parts)
    with (tmp_path / "texts.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not other.build()
        assert len(other.waiting(parts)) == 3
    assert one.build()
    assert sum(len(rows) for _, rows in other.search("divides", parts) or []) == 3


def test_texts_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    write(tmp_path / "runs")
    parts, _ = Scan(tmp_path / "runs").look()
    next(iter(sorted((tmp_path / "runs").rglob("*.parquet")))).unlink()
    texts = TextIndex(tmp_path)
    texts.want(parts)
    assert texts.build()
    assert "cannot be read" in texts.message
    assert len(texts.waiting(parts)) == 1


def _build(folder: Path, runs: Path) -> None:
    texts = TextIndex(folder)
    texts.want(Scan(runs).look()[0])
    texts.build()


def test_a_killed_build_goes_on_where_it_was(tmp_path: Path) -> None:
    write(tmp_path / "runs", steps=24)
    parts, _ = Scan(tmp_path / "runs").look()
    texts = TextIndex(tmp_path)
    texts.want(parts)
    process = multiprocessing.get_context("spawn").Process(target=_build, args=(tmp_path, tmp_path / "runs"))
    process.start()
    while not texts.sources() and process.is_alive():
        time.sleep(0.001)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    before = texts.sources()
    assert texts.build()
    assert before.items() <= texts.sources().items()
    assert sum(len(rows) for _, rows in texts.search("divides", parts) or []) == 24
