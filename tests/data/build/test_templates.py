"""Prompts: one file a (source, task), versioned, hashed; a user's folder replaces single files."""

from pathlib import Path

import pytest

from medgrpo.data.build.templates import FIELDS, WRITTEN_TASKS, SourceTexts, source_texts
from medgrpo.errors import UserError
from tests.data.build.test_questions import TASKS

SOURCES = (*TASKS, "a source of one's own")


def filled(texts: SourceTexts, task: str) -> str:
    return texts.templates[task].filled(**{field: f"<{field}>" for field in FIELDS[task]})


@pytest.mark.parametrize("source", SOURCES)
def test_shipped_files_load_and_have_every_written_task(source: str) -> None:
    texts = source_texts(source)
    assert texts.persona.startswith("You are an expert in ")
    assert texts.domain.endswith(".")
    assert set(texts.tasks) == TASKS.get(source, set(texts.tasks))
    assert set(texts.templates) == set(texts.tasks) & set(WRITTEN_TASKS)
    for task in texts.templates:
        prompt = filled(texts, task)
        assert "<annotations>" in prompt
        assert "is the truth" in prompt
        assert "Tell of movement and change over time" in prompt
        assert "neither annotated nor plainly seen" in prompt
        assert 'Answer with nothing but JSON: {"texts": [' in prompt


@pytest.mark.parametrize(
    ("task", "length"),
    [("video_summary", "one or two sentences"), ("region_caption", "in one sentence"),
     ("dense_captioning", "exactly <count> sentences, in the order of the events")],
)  # fmt: skip
def test_prompts_ask_for_the_published_length(task: str, length: str) -> None:
    asked = [filled(texts, task) for s in SOURCES if task in (texts := source_texts(s)).templates]
    assert asked
    assert all(length in prompt for prompt in asked)


def test_files_differ_and_their_hashes_tell_them_apart() -> None:
    templates = [one for source in SOURCES for one in source_texts(source).templates.values()]
    assert len({one.digest for one in templates}) == len({one.id for one in templates}) == len(templates)
    assert all(len(one.digest) == 64 and one.id.endswith("@1") for one in templates)


def test_a_users_file_replaces_one_and_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "CholecT50").mkdir()
    own = tmp_path / "CholecT50" / "video_summary@2.yaml"
    own.write_text("text: 'Summarise {duration} seconds.'\n")
    texts, shipped = source_texts("CholecT50", tmp_path), source_texts("CholecT50")
    assert texts.templates["video_summary"].id == "CholecT50/video_summary@2"
    assert filled(texts, "video_summary") == "Summarise <duration> seconds."
    assert texts.templates["dense_captioning"] == shipped.templates["dense_captioning"]
    assert (texts.persona, texts.tasks) == (shipped.persona, shipped.tasks)
    own.rename(own.with_name("video_summary@1.yaml"))
    same_name = source_texts("CholecT50", tmp_path).templates["video_summary"]
    assert same_name.digest != shipped.templates["video_summary"].digest


def test_what_is_filled_in_may_hold_braces() -> None:
    template = source_texts("NurViD").templates["video_summary"]
    fields = dict.fromkeys(FIELDS["video_summary"], "")
    assert "{count}" in template.filled(**fields | {"speech": "{count}"})


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("video_summary@1.yaml", "text: 'Of {duration} by {surgeon}'", r"text names \{surgeon\}; there are"),
        ("video_summary@1.yaml", "text: 'Summarise.'", r"text must name \{duration\}"),
        ("video_summary@1.yaml", "text: 'Of {duration'", "for braces"),
        ("video_summary@1.yaml", "text: [", "malformed YAML"),
        ("video_summary@1.yaml", "- text", "expected a mapping with text"),
        ("video_summary@1.yaml", "words: 3", "words is unknown"),
        ("video_sumary@1.yaml", "text: 'Of {duration}'", "expected source.yaml or"),
        ("tal@1.yaml", "text: 'When?'", "expected source.yaml or"),
        ("source.yaml", "persona: a\ndomain: b\ntasks: [vqa]", "tasks: expected a list of"),
        ("source.yaml", "persona: a\ntasks: [tal]", "domain is missing"),
        ("source.yaml", "persona: a\ndomain: b\ntasks: [region_caption]", r"no region_caption@1.yaml"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(
    name: str, content: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "CholecT50").mkdir()
    (tmp_path / "CholecT50" / name).write_text(content)
    with pytest.raises(UserError, match=problem) as caught:
        source_texts("CholecT50", tmp_path)
    assert name in str(caught.value)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder of prompts"):
        source_texts("CholecT50", tmp_path / "prompts")
