"""Every example of the guide to extending runs as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from medgrpo import cli
from medgrpo.commands.grpo_config import GRPOConfig
from medgrpo.commands.judge_option import judge_option
from medgrpo.data.records import read_records
from medgrpo.demo.stages import base_model
from medgrpo.rewards import CompositeReward, JudgeRequest, RawScore, Statistics, summarise
from medgrpo.tasks import get_task
from medgrpo.types import Clip, Sample
from tests.docs.pages import ROOT, blocks
from tests.test_configs import STAND_INS

BLOCKS = blocks(ROOT / "docs" / "extending.md")
FILES = {
    found[1]: block.text
    for block in BLOCKS
    if block.language in ("python", "yaml") and (found := re.match(r"# ([\w/]+\.\w+)\n", block.text))
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The examples as files, where Python finds them."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.rmtree(tmp_path / "medgrpo")  # a file of the repository; its test makes a copy of that
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    yield tmp_path
    for name in FILES:
        sys.modules.pop(Path(name).stem, None)


def sample(answer: str | None, task: str = "video_summary") -> Sample:
    clip = Clip(video=Path("v.mp4"))
    return Sample(f"{task}{answer}", "v", 0, task, task, "Ours", "v", "What?", answer, None, clip)


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    paths = [f"--{key}={value}" for key, value in STAND_INS.items()]
    with pytest.raises(SystemExit) as stop:
        cli.main(["fit", "--config=configs/grpo.yaml", *arguments, *paths, "--print_config"])
    assert stop.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]


def test_no_block_of_code_is_left_out() -> None:
    code = [block for block in BLOCKS if block.language in ("python", "yaml")]
    assert len(FILES) == len(code) == 11
    assert [block.language for block in BLOCKS].count("diff") == 1


def test_a_task(tmp_path: Path) -> None:
    """In a copy of the package, by the change that is shown, through the program."""
    shutil.copytree(ROOT / "medgrpo", tmp_path / "medgrpo", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "medgrpo/tasks/tool_count.py").write_text(FILES["medgrpo/tasks/tool_count.py"])
    [change] = [block.text for block in BLOCKS if block.language == "diff"]
    subprocess.run(["git", "apply", "-"], input=change, cwd=tmp_path, text=True, check=True)
    (tmp_path / "counting.yaml").write_text(FILES["counting.yaml"])
    rows = [
        {
            "id": f"v{k}&&0&&9&&1.0",
            "qa_type": "tool_count",
            "conversations": [
                {"from": "human", "value": "<video>\nHow many instruments are seen at 3.0 seconds?"},
                {"from": "gpt", "value": "2"},
            ],
            "video": "v.mp4",
            "metadata": {"fps": "1.0", "video_id": f"v{k}"},
            "data_source": "Ours",
        }
        for k in range(5)
    ]
    answers = ["2", "There are 3.", "4", "none", "2"]
    (tmp_path / "records.json").write_text(json.dumps(rows))
    (tmp_path / "predictions.json").write_text(
        json.dumps(
            [
                {"id": row["id"], "qa_type": "tool_count", "prediction": answer}
                for row, answer in zip(rows, answers, strict=True)
            ]
        )
    )
    script = (
        "import sys; from medgrpo import cli; import medgrpo; print(medgrpo.__file__)\n"
        "from medgrpo.commands.grpo_config import GRPOConfig\n"
        "assert cli.main(['check', 'records.json']) == 0\n"
        "score = ['--records', 'records.json', '--predictions', 'predictions.json', '--protocol', 'strict']\n"
        "assert cli.main(['evaluate', *score, '--out', 'scores.json']) == 0\n"
        "reward = GRPOConfig(['configs/grpo.yaml', 'counting.yaml']).reward()\n"
        "assert 'tool_count' in reward.tasks\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(str(tmp_path))
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["per_record"] == [1.0, 0.5, 0.0, 0.0, 1.0]


def test_a_dataset(folder: Path) -> None:
    (folder / "spans.csv").write_text(
        "video,length,action,start,end\nop1,60,clip,12,15.5\nop1,60,clip,20,21\nop2,30,cut,0,4\n"
    )
    subprocess.run(
        [sys.executable, "convert.py", "spans.csv", "records.json"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        check=True,
    )
    assert cli.main(["check", "records.json"]) == 0
    clip, cut = read_records("records.json")
    assert clip.answer == "12.0-15.5, 20.0-21.0 seconds."
    assert get_task("tal").score(get_task("tal").parse(clip.answer, clip), clip) == 1.0
    assert "Possible actions: clip, cut." in cut.question


def test_a_reward(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = printed(["--config=laterality.yaml"], capsys)
    assert set(config["reward"]["init_args"]["components"]) == {"metric", "similarity", "judge", "laterality"}
    component = GRPOConfig(["configs/grpo.yaml", "laterality.yaml"]).reward().components["laterality"]
    reference = sample("The left hand holds, the right hand cuts.")
    texts = ["Left and right.", "The right hand.", "The bright light."]
    found = component.score([reference] * 3 + [sample("Both hands.")], [*texts, ""], [None] * 4)
    assert [score.value for score in found] == [1.0, 0.5, 0.0, 1.0]
    [failed] = component.score([sample(None)], ["left"], [None])
    assert failed.status == "no_reference"


def test_a_normalizer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(["--config=tanh.yaml"], capsys)
    from my_normalizers import TanhNormalizer
    from my_rewards import LateralityReward

    pair = ("Ours", "video_summary")
    values = [k / 200 for k in range(201)]
    statistics = Statistics({pair: {"laterality@1": summarise(values)}})
    component = LateralityReward({"video_summary": 1.0})
    reward = CompositeReward({"laterality": component}, TanhNormalizer(2.0), statistics)
    reward.setup()
    parsed = get_task("video_summary").parse("text")
    mixed = [reward.mix(pair, {"laterality": RawScore(raw)}, parsed).value for raw in (0.0, 0.5, 1.0)]
    assert mixed[1] == 0.0
    assert -1.0 < mixed[0] == -mixed[2] < -0.9


def test_a_judge(folder: Path) -> None:
    judge = judge_option("confusion.yaml")
    texts = ["The cystic artery is clipped.", "The cystic duct is clipped."]
    found = judge.judge([JudgeRequest("", texts[0], text) for text in texts])
    assert [judgement.mean for judgement in found] == [5.0, 1.0]
    pairs = [{"reference": texts[0], "candidate": text} for text in texts]
    Path("pairs.json").write_text(json.dumps(pairs))
    assert cli.main(["judge", "--pairs", "pairs.json", "--judge", "confusion.yaml", "--out", "out.json"]) == 0
    assert "duct instead of artery" in Path("out.json").read_text()


def test_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = printed(["--config=upper.yaml"], capsys)["policy"]
    assert policy["class_path"] == "my_policies.UpperLayersPolicy"
    from my_policies import UpperLayersPolicy

    model = UpperLayersPolicy(str(base_model()), frozen_layers=1)
    model.setup()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    layers = {
        int(found[1]) for name in trained if (found := re.search(r"language_model\.layers\.(\d+)", name))
    }
    assert layers == set(range(1, len(model.qwen.model.language_model.layers)))
    assert not any("visual" in name or "embed_tokens" in name for name in trained)
