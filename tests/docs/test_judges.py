"""The rubric that the guide to judges shows is one, and a judge takes it from a file."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml

from medgrpo.commands.judge_option import judge_option
from medgrpo.modules.rounds import FailurePolicy
from medgrpo.rewards import ChatJudge, load_rubric
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "judges.md"


def test_the_rubric_is_one_and_a_judge_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [text] = [block.text for block in blocks(PAGE) if block.language == "yaml"]
    monkeypatch.chdir(tmp_path)
    Path("stitches.yaml").write_text(text)
    assert load_rubric("stitches.yaml").name == "stitches@1"
    arguments = {"model": "m", "base_url": "http://localhost:1/v1", "rubric": "stitches.yaml"}
    judge = {"class_path": "medgrpo.rewards.ChatJudge", "init_args": arguments}
    Path("judge.yaml").write_text(yaml.safe_dump(judge))
    made = judge_option("judge.yaml")
    assert isinstance(made, ChatJudge)
    assert made.names == ("technique", "tissue")


def test_all_policies_for_failures_are_named() -> None:
    text = PAGE.read_text()
    assert all(f"`{policy}`" in text for policy in get_args(FailurePolicy))
