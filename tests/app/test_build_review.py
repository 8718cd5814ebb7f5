"""A build's review sample opens in the dashboard: on the page Data, and in the queue of the reviewers."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from app.agreement.prepare import CAPTION_TASKS, prepare
from app.context import Context
from app.index import RolloutIndex
from app.index.progress import progress
from app.records.library import RecordsFile
from app.review.desk import RUBRIC, Desk, Draft, Place
from app.site.audit import AuditLog
from app.training.run_state import runs_table, state_of
from app.workspace import open_workspace
from medgrpo.data.build.verify.findings import KeptClip
from medgrpo.data.build.verify.sample import draw, find
from medgrpo.data.build.verify.verify import Verifier
from medgrpo.data.media import MediaPaths
from medgrpo.errors import UserError
from medgrpo.evaluation.build_review import write_review
from medgrpo.evaluation.verdict_store import stored_verdicts
from medgrpo.rewards.judges import load_rubric
from tests.app.records_scene import patient
from tests.data.build.verify_scene import WordEncoder, corpus, make_row


def kept(folder: Path) -> list[KeptClip]:
    return [clip for clip, _ in Verifier(WordEncoder()).verify(corpus(folder, videos=3))]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    clips = kept(folder)
    write_review(folder, "tiny", find(clips, draw(clips, 18, seed=0)), make_row)
    return folder


def test_the_page_data_lists_the_sample_without_a_defect(built: Path) -> None:
    path = built / "review.json"
    file = patient(RecordsFile(path, MediaPaths.beside(path)))
    assert file.state.problem == ""
    assert file.defects == {}
    assert file.state.catalogue is not None
    assert len(file.state.catalogue) == 36  # two texts a question
    assert all((built / name).is_file() for row in json.loads(path.read_text()) for name in row["video"])


def test_reviewers_mark_the_writers_texts(built: Path, tmp_path: Path) -> None:
    index = RolloutIndex(built / "review")
    index.refresh()
    assert index.problems == {}
    assert [(run.run, run.answers) for run in index.runs()] == [("tiny", 36)]
    pairs = {(dataset, task): answers for dataset, task, answers, *_ in index.pairs("tiny")}
    assert set(pairs.values()) == {4}
    assert len(pairs) == 9
    states = [(run, None, state_of(run, None, time.time())) for run in progress(index)]
    table = str(runs_table(index.runs(), states, "tiny"))
    assert "not kept" in table
    assert "1970" not in table

    workspace = open_workspace(tmp_path / "workspace", built / "review")
    context = Context(index, built, workspace, AuditLog(workspace.audit))
    desk = Desk(context)
    review = prepare(
        context, desk.reviews, "lead", run="tiny", rounds=(0, 0), tasks=CAPTION_TASKS, size=10, share=50,
        reviewers=2, seed=0, rubric=RUBRIC,
    )  # fmt: skip
    assert len(review.items) == 10
    place, shown = desk.show(Place("Dr. A", review.number))
    html = str(shown)
    assert "What experts marked in the clip." in html
    assert html.count("data:image/jpeg;base64,") >= 4  # the frames are found from the build's folder
    assert "cannot be shown" not in html
    assert "gpt" not in html.replace("data:image", "").split("<img")[0]  # who wrote it is not told
    marks = {dimension.name: 4 for dimension in load_rubric(RUBRIC).dimensions}
    desk.save(place, Draft(marks, accepted=True))
    (verdict,) = stored_verdicts(workspace.verdicts, list(marks))
    keys = {pair.draft.key for clip in kept(built) for pair in clip.pairs}
    assert verdict.key[:2] == ("tiny", 0)
    assert verdict.key[2] in keys  # a verdict leads back to the question


def test_an_answer_of_the_sample_is_a_writers_text(built: Path) -> None:
    index = RolloutIndex(built / "review")
    index.refresh()
    clips = kept(built)
    for pair, _, _ in find(clips, draw(clips, 18, seed=0)):
        rows = index.group("tiny", 0, pair.draft.key)
        assert [row["completion_text"] for row in rows] == [pair.texts[n].text for n in sorted(pair.texts)]
        assert [json.loads(row["metadata_json"])["writer"] for row in rows] == sorted(pair.texts)
        assert [row["reward"] for row in rows] == [pair.similarity] * 2
        assert {row["parse_status"] for row in rows} <= {"ok", "free_text"}
        if pair.draft.task == "region_caption":
            assert rows[0]["region"]["box"] == [4.0, 4.0, 20.0, 20.0]
            assert "In the box: hook." in rows[0]["reference_text"]


def test_the_same_sample_has_the_same_bytes(tmp_path: Path) -> None:
    clips = kept(tmp_path)
    keys = draw(clips, 5, seed=0)
    first, second = (write_review(tmp_path / name, "tiny", find(clips, keys), make_row) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert len(first) == 2


def test_a_text_that_stands_alone_has_no_similarity(tmp_path: Path) -> None:
    clips = kept(tmp_path)
    pair, pictures, facts = next(find(clips, draw(clips, 1, seed=0)))
    alone = type(pair)(pair.draft, {"gpt": pair.texts["gpt"]})
    write_review(tmp_path, "tiny", [(alone, pictures, facts)], make_row)
    index = RolloutIndex(tmp_path / "review")
    index.refresh()
    (row,) = index.group("tiny", 0, pair.draft.key)
    assert math.isnan(row["reward"])
    assert row["components"][0]["status"] == "alone"


def test_an_empty_sample_and_a_bad_name(tmp_path: Path) -> None:
    assert write_review(tmp_path, "tiny", [], make_row) == [tmp_path / "review.json"]
    with pytest.raises(UserError, match="run"):
        write_review(tmp_path, "a/b", [], make_row)
