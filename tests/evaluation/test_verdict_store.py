"""Verdicts are never lost or changed, whoever writes and whatever happens."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.evaluation.verdict_store import VerdictStore, stored_verdicts, verdict_file
from tests.evaluation.verdict_scene import make_verdict

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "verdicts.sqlite"


def said(store: VerdictStore) -> list[tuple[str, int, float]]:
    return [(v.reviewer, v.key[3], v.mean) for v in store.present()]


def count(path: Path) -> int:
    return int(sqlite3.connect(path).execute("SELECT count(*) FROM verdict").fetchone()[0])


def test_everything_that_was_said_is_kept(path: Path) -> None:
    full = make_verdict(
        "Dr. Ă <b>",
        accepted=False,
        unsafe=True,
        wrong_reference=True,
        unjudgeable=True,
        blind=False,
        comment="=1+1\n'quoted' \ud800",
    )
    bare = make_verdict("bob", scores={"action": 5.0}, accepted=None, blind=None, rubric="")
    store = VerdictStore(path)
    assert [store.add(full), store.add(bare)] == [1, 2]
    for found in (store.present(), stored_verdicts(path)):
        assert [v.time > 1.7e9 for v in found] == [True, True]
        for ours, read in zip((full, bare), found, strict=True):
            for name in ("key", "reviewer", "scores", "accepted", "unsafe", "wrong_reference", "unjudgeable"):
                assert getattr(read, name) == getattr(ours, name)
            assert (read.blind, read.rubric, read.content) == (ours.blind, ours.rubric, ours.content)
        assert found[0].comment == "=1+1\n'quoted' ?"
    assert stored_verdicts(path, ["context"])[0].scores == {"context": 3.0}
    assert path.stat().st_mode & 0o077 == 0


def test_corrections_and_undo_are_new_rows(path: Path) -> None:
    store = VerdictStore(path)
    store.add(make_verdict(score=2))
    store.add(make_verdict("bob", score=4))
    store.add(make_verdict(score=5))
    assert said(store) == [("bob", 0, 4.0), ("ada", 0, 5.0)]
    assert store.withdraw(make_verdict())
    assert said(store) == [("bob", 0, 4.0)]
    assert not store.withdraw(make_verdict())  # nothing is left to take back
    assert not store.withdraw(make_verdict("eve"))
    store.add(make_verdict(score=1))
    assert said(store) == [("bob", 0, 4.0), ("ada", 0, 1.0)]
    rows = sqlite3.connect(path).execute("SELECT id, withdrawn, supersedes FROM verdict").fetchall()
    assert rows == [(1, 0, None), (2, 0, None), (3, 0, 1), (4, 1, 3), (5, 0, 4)]
    assert store.version() == 5


def test_another_text_at_the_same_place_is_another_answer(path: Path) -> None:
    store = VerdictStore(path)
    store.add(make_verdict(score=2))
    store.add(make_verdict(score=4, content="another"))
    assert len(store.present("ada")) == 2
    first, second = store.present()
    assert not first.about("another")
    assert second.about("another")
    assert second.about("")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.sampled_from([None, 1, 2, 3, 4, 5]))))
def test_the_present_is_the_last_word_of_each(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int, int | None]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "verdicts.sqlite"
    store, expected, rows = VerdictStore(path), {}, 0
    for reviewer, index, score in acts:
        if score is None:
            rows += store.withdraw(make_verdict(reviewer, index))
            expected.pop((reviewer, index), None)
        else:
            store.add(make_verdict(reviewer, index, score))
            rows += 1
            expected[reviewer, index] = float(score)
    assert {(reviewer, index): mean for reviewer, index, mean in said(store)} == expected
    assert count(path) == rows  # and nothing said before was removed
    store.close()


def test_rows_cannot_be_changed_or_removed(path: Path) -> None:
    VerdictStore(path).add(make_verdict())
    other = sqlite3.connect(path)
    for statement in ("UPDATE verdict SET scores = '{}'", "DELETE FROM verdict"):
        with pytest.raises(sqlite3.IntegrityError, match="only added"):
            other.execute(statement)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_two_dashboards_lose_nothing(path: Path) -> None:
    stores = [VerdictStore(path) for _ in range(2)]

    def write(store: VerdictStore, reviewer: str) -> None:
        for k in range(15):
            store.add(make_verdict(reviewer, k))
            store.add(make_verdict("both", 0, 1 + k % 5))

    threads = [threading.Thread(target=write, args=(s, f"r{i}")) for i, s in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(path) == 60
    assert len(stores[0].present()) == 31
    assert [v.reviewer for v in stores[1].present("both")] == ["both"]


def test_a_killed_writer_leaves_what_it_had_saved(path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from medgrpo.evaluation.verdict_store import VerdictStore\n"
        "from tests.evaluation.verdict_scene import make_verdict\n"
        "store = VerdictStore(Path(sys.argv[1]))\n"
        "for k in range(100000):\n    print(store.add(make_verdict(index=k)), flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(25):
        told = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split("\n")
    writer.wait()
    writer.stdout.close()
    told = max(told, *(int(line) for line in rest[:-1])) if rest[:-1] else told
    store = VerdictStore(path)
    assert told <= len(store.present()) <= told + 1
    assert store.add(make_verdict("bob")) == len(store.present())


def test_a_full_disk_is_one_message_and_loses_nothing(path: Path) -> None:
    store = VerdictStore(path)
    store.add(make_verdict())
    store._file.rows(f"PRAGMA max_page_count={store._file.rows('PRAGMA page_count')[0][0]}")
    with pytest.raises(UserError, match=r"full.*nothing was saved. Free space"):
        store.add(make_verdict("bob", comment="x" * 100_000))
    assert [v.reviewer for v in store.present()] == ["ada"]
    store._file.rows("PRAGMA max_page_count=1000000")
    store.add(make_verdict("bob", comment="x" * 100_000))
    assert [v.reviewer for v in store.present()] == ["ada", "bob"]


def test_a_locked_file_is_one_message_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medgrpo.services.append_only._PATIENCE", 0.05)
    store = VerdictStore(path)
    store.add(make_verdict())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError, match=r"cannot be written \(database is locked\); nothing was saved"):
        store.add(make_verdict("bob"))
    assert [v.reviewer for v in store.present()] == ["ada"]  # readers do not wait
    other.execute("COMMIT")
    store.add(make_verdict("bob"))
    assert [v.reviewer for v in store.present()] == ["ada", "bob"]


def test_files_of_another_kind_are_one_line_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, but long enough to be read as one " * 40)
    with pytest.raises(UserError, match="cannot be opened"):
        VerdictStore(text)
    other = tmp_path / "other.sqlite"
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE audit (id)")
    database.commit()
    for open_it in (VerdictStore, stored_verdicts):
        with pytest.raises(UserError, match="but not the store of verdicts"):
            open_it(other)
    assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("audit",)]
    with pytest.raises(UserError, match="cannot be opened"):
        VerdictStore(tmp_path / "nowhere" / "verdicts.sqlite")
    with pytest.raises(UserError, match="no such file"):
        stored_verdicts(tmp_path / "missing.sqlite")
    with pytest.raises(UserError, match="name the dashboard's folder"):
        verdict_file(tmp_path)


def test_no_score_outside_one_to_five_is_saved(path: Path) -> None:
    store = VerdictStore(path)
    for score in (0, 6, float("nan")):
        with pytest.raises(UserError, match="not a score from 1 to 5"):
            store.add(make_verdict(score=score))
    assert store.present() == []
