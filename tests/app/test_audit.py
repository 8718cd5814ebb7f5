"""The audit log only grows, and shows when somebody went around it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from app.site.audit import AuditLog
from medgrpo.errors import UserError


def test_lines_are_sealed_and_cannot_be_changed(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.sqlite")
    for target in ("run/0/a", "run/0/b", "run/1/c"):
        log.record("nurse", "view group", target)
    assert log.first_broken() is None
    other = sqlite3.connect(tmp_path / "audit.sqlite")
    for statement in ("UPDATE audit SET user = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            other.execute(statement)
    other.execute("DROP TRIGGER audit_no_update")
    other.execute("UPDATE audit SET target = 'run/9/z' WHERE id = 2")
    other.commit()
    assert log.first_broken() == 2


def test_two_dashboards_write_one_log(tmp_path: Path) -> None:
    logs = [AuditLog(tmp_path / "audit.sqlite") for _ in range(2)]

    def write(log: AuditLog) -> None:
        for k in range(20):
            log.record("surgeon", "view group", str(k))

    threads = [threading.Thread(target=write, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logs[0].first_broken() is None
    count = sqlite3.connect(tmp_path / "audit.sqlite").execute("SELECT count(*) FROM audit").fetchone()
    assert count == (40,)


def test_a_file_of_another_kind_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "audit.sqlite").write_text("not a database, but long enough to be read as one" * 40)
    with pytest.raises(UserError, match="cannot be opened"):
        AuditLog(tmp_path / "audit.sqlite")
