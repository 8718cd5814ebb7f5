"""What the page Try it asks, of whom, and what it says about the answer; without a browser."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.ask.desk import Desk, Job
from app.ask.question import Question, form_fields, form_words, typed
from app.ask.session import Session
from medgrpo.data.prompts import derive_seed
from medgrpo.data.records import read_records
from medgrpo.errors import UserError
from medgrpo.evaluation.runner import complete
from medgrpo.tasks import TASKS
from medgrpo.types import Sample
from tests.app.asking import OWN, answered, session_on, text_of
from tests.app.records_scene import make_records, sources_on, wait_for


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("ask"))


@pytest.fixture(scope="module")
def session(scene: Path) -> Session:
    return session_on(sources_on(scene, "train.json", "bad.jsonl", model=scene / "model"), scene / "runs")


@pytest.fixture(scope="module")
def samples(scene: Path) -> list[Sample]:
    return read_records(scene / "world" / "train.json")


@pytest.fixture(scope="module", autouse=True)
def short_answers() -> Any:
    """An untrained model does not end its answers."""
    patch = pytest.MonkeyPatch()
    for task in TASKS.values():
        patch.setattr(type(task), "max_new_tokens", 12)
    yield
    patch.undo()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_answer_is_the_one_that_evaluate_gives(
    session: Session, scene: Path, samples: list[Sample], temperature: float
) -> None:
    assert session.answerer is not None
    job: Job[Any] = Job(Question(samples[0], "row 0", temperature, derive_seed(5, 0)))
    ((expected,),) = complete(scene / "model", samples[:1], temperature=temperature, seed=5)
    assert session.answerer.answer(job) == (expected.text, True)
    assert job.pieces == len(expected.token_ids) == 12
    assert "It is ready" in text_of(session.model_line())


def test_an_answer_is_shown_with_all_that_is_known_of_it(session: Session, samples: list[Sample]) -> None:
    page = text_of(answered(session, OWN))
    for words in (
        samples[0].question,
        str(samples[0].answer),
        "the likeliest answer",
        "cut off",
        "Overlap of the time spans",
        "What the judge says",
        "The judge compares words",
    ):
        assert words in page
    drawn = replace(OWN, drawn=True, temperature=0.7, seed=3)
    first, second = (answered(session, drawn).split("<h3>Question")[1] for _ in range(2))
    assert first == second
    assert "drawn at temperature 0.7 with seed 3" in text_of(answered(session, drawn))


def test_all_tasks_can_be_asked_of_a_clip(session: Session, samples: list[Sample]) -> None:
    region = next(sample for sample in samples if sample.region is not None)
    for name in TASKS:
        for variant in range(len(TASKS[name].forms)):
            assert "{" not in form_words(name, variant)
            values = [
                "1" if field in ("step", "start", "end") else "grasper"
                for field in form_fields(name, variant)
            ]
            question = typed(region, name, variant, values, "a reference")
            assert (question.task, question.truth, question.answer) == (name, None, "a reference")
            assert question.key != region.key
            assert (question.region is None) == (name != "region_caption")
    page = text_of(answered(session, replace(OWN, row=region.row, own=False, task="video_summary")))
    assert "There is none, so the answer is shown without a score" in page
    assert "What the judge says" not in page
    compared = replace(OWN, own=False, task="video_summary", reference="The grasper holds tissue.")
    assert "What the judge says" in text_of(answered(session, compared))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"row": 10**6}, "has rows 0 to"),
        ({"row": None}, "choose a records file and a row"),
        ({"file": "9"}, "no records file '9'"),
        ({"file": "../x"}, "no records file"),
        ({"file": None}, "choose a records file"),
        ({"file": "1", "row": 2}, "field 'metadata.fps'"),
        ({"own": False, "values": ("", "a, b")}, "fill in: Action to look for"),
        ({"own": False, "values": ("x" * 301, "a, b")}, "at most 300 letters"),
        ({"own": False, "task": "video_summary", "reference": "x" * 4001}, "at most 4000 letters"),
        ({"own": False, "task": "stg", "values": ("a", "soon", "0", "1")}, "a number of seconds"),
        ({"own": False, "task": "region_caption", "values": ("0", "1")}, "no object is marked"),
        ({"own": False, "task": "video_summary", "variant": 9}, "2 ways to ask"),
        ({"own": False, "task": "anything"}, "unknown task"),
        ({"drawn": True, "temperature": 9.0}, "temperature"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
    ],
)
def test_what_cannot_be_asked_is_said(session: Session, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        session.question(replace(OWN, **changes))


def test_a_running_question_is_stopped_and_the_next_one_answered(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(TASKS["tal"]), "max_new_tokens", 10**6)
    question = session.question(OWN)
    assert session.name(question).startswith("train.json row 0 tal ")
    assert session.name(question).endswith("/model")
    key = session.ask(question)
    wait_for(lambda: "word pieces so far" in text_of(session.look(key)[0]))
    monkeypatch.setattr(type(TASKS["tal"]), "max_new_tokens", 12)
    second = session.ask(question)
    assert "waits its turn: number 1" in text_of(session.look(second)[0])
    session.stop(key)
    wait_for(lambda: session.look(key)[1] is not None)
    assert "stopped" in text_of(session.look(key)[1] or "")
    wait_for(lambda: session.look(second)[1] is not None)
    assert "Answer" in text_of(session.look(second)[1] or "")
    assert "not known any more" in text_of(session.look("guess")[1] or "")


def test_what_goes_wrong_is_said_in_plain_words(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    assert session.answerer is not None
    for error, words in (
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory for this clip"),
        (MemoryError(), "not enough memory for this clip"),
        (UserError("row 0: the prompt has 40000 tokens, more than max_prompt_tokens"), "40000 tokens"),
        (ZeroDivisionError("a defect"), "the model's program failed (ZeroDivisionError)"),
    ):

        def fail(job: Job[Any], error: Exception = error) -> tuple[str, bool]:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(session.answerer, "answer", fail)
            assert words in text_of(answered(session, OWN))
    assert "Answer" in text_of(answered(session, OWN))  # the desk goes on


def test_a_queue_has_an_end(samples: list[Sample]) -> None:
    begun, go = threading.Event(), threading.Event()

    def work(job: Job[str]) -> str:
        begun.set()
        go.wait(300)
        return "done"

    desk = Desk(work)
    first = desk.submit(Question(samples[0], "first"))
    assert begun.wait(300)
    keys = [desk.submit(Question(samples[0], "next")) for _ in range(8)]
    assert [desk.ahead(key) for key in keys] == list(range(1, 9))
    with pytest.raises(UserError, match="waiting already"):
        desk.submit(Question(samples[0], "late"))
    desk.stop(keys[0])
    assert desk.ahead(keys[1]) == 1
    go.set()
    wait_for(lambda: all(desk.job(key).finished.is_set() for key in (first, *keys)))  # type: ignore[union-attr]
    assert desk.job(keys[0]).problem == "stopped"  # type: ignore[union-attr]
    assert desk.job(keys[7]).result == "done"  # type: ignore[union-attr]


def test_a_model_that_cannot_be_loaded_is_said(scene: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "medgrpo_sampling.json"):
        (folder / name).write_bytes((scene / "model" / name).read_bytes())
    session = session_on(sources_on(scene, "train.json", model=folder), tmp_path)
    assert "cannot load" in text_of(answered(session, OWN))
    assert "It cannot be loaded" in text_of(session.model_line())
    shutil.rmtree(folder)
    assert "is not a model directory" in text_of(answered(session, OWN))


def test_nothing_to_ask_says_what_to_do(scene: Path, tmp_path: Path) -> None:
    words = text_of(session_on(sources_on(scene), tmp_path).model_line())
    assert "no records file was named" in words
    assert "no model was named" in words
    assert "--model" in words
    assert "--endpoint" in words
    with pytest.raises(UserError, match="no model to ask"):
        session_on(sources_on(scene, "train.json"), tmp_path).question(OWN)
