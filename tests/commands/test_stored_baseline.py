"""Statistics of stored answers, with clinicians' scores where the judge's were."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from medgrpo import cli
from medgrpo.commands.verdict_option import verdicts_of
from medgrpo.evaluation.verdict_files import verdict_bytes
from medgrpo.evaluation.verdict_store import VerdictStore
from medgrpo.evaluation.verdicts import Verdict, answer_hash, read_verdicts
from medgrpo.rewards.statistics import Statistics
from medgrpo.rollout.store import RolloutStore
from medgrpo.types import ComponentScore
from tests.evaluation.verdict_scene import DIMENSIONS
from tests.rollout.rollouts import make_rollout, make_sample

CONFIG = """\
paths: {run: r}
model:
  init_args:
    reward:
      class_path: medgrpo.rewards.CompositeReward
      init_args:
        components:
          judge: {class_path: medgrpo.rewards.JudgeReward, init_args: {tasks: {video_summary: 1.0}}}
"""
JUDGED = [2.0, 2.0, 3.0, 4.0, 4.0, 4.0]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    from medgrpo.rewards import JudgeReward

    metric = JudgeReward({"video_summary": 1.0}).metric("video_summary").name
    (tmp_path / "reward.yaml").write_text(CONFIG)
    store = RolloutStore(tmp_path, "r", policy_hash="c0ffee")
    for step in range(2):
        rollouts = [
            make_rollout(
                make_sample(),
                f"answer {index} of {step}",
                index=index,
                components={"judge": ComponentScore(raw=raw, normalised=0.5, weight=1.0, metric=metric)},
            )
            for index, raw in enumerate(JUDGED)
        ]
        store.write(step, rollouts)
    return tmp_path


def verdict(index: int, score: float, reviewer: str = "ada", step: int = 0, **more: Any) -> Verdict:
    content = answer_hash(
        "What happens in this clip?", "The surgeon ties a knot.", f"answer {index} of {step}"
    )
    values = {"scores": dict.fromkeys(DIMENSIONS, score), "rubric": "medgrpo-five@1", "content": content}
    return Verdict(("r", step, "g0", index), reviewer, **{**values, **more})


def baseline(scene: Path, *options: str) -> int:
    out = scene / "statistics.json"
    config = f"--config={scene / 'reward.yaml'}"
    return cli.main(["baseline", config, f"--rollouts={scene}", f"--out={out}", *options])


def test_without_verdicts_the_judge_counts(scene: Path) -> None:
    assert baseline(scene) == 0
    read = Statistics.load(scene / "statistics.json")
    [entry] = read.entries[("AVOS", "video_summary")].values()
    assert (entry.n, entry.mean, entry.low, entry.high) == (12, sum(JUDGED) / 6, 1.0, 5.0)
    made_by = read.provenance
    assert (made_by.checkpoint, made_by.rollouts) == ("c0ffee", "r, rounds 0 to 1")
    assert (made_by.samples_per_prompt, made_by.rubric) == (6, "medgrpo-five@1")
    assert (made_by.verdicts, made_by.replaced, made_by.left_out) == ("", 0, 0)


@pytest.mark.parametrize("form", [".sqlite", ".csv", ".jsonl", ".parquet"])
def test_verdicts_replace_the_judge(scene: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    verdicts = [
        verdict(0, 5),
        verdict(0, 4, "bob"),
        verdict(1, 5, unsafe=True),
        verdict(2, 5, accepted=False),
        verdict(3, 5, wrong_reference=True),
        verdict(4, 5, content="0" * 64),  # given to another text
        verdict(5, 1, step=7),
    ]
    path = scene / f"verdicts{form}"
    if form == ".sqlite":
        store = VerdictStore(path)
        for one in verdicts:
            store.add(one)
        store.close()
    else:
        path.write_bytes(verdict_bytes(verdicts, form))
    assert baseline(scene, "--run=r", "--steps", "0", "0", f"--verdicts={path}") == 0
    told = "clinicians: 3 of 5 answers have their score, 1 are left out; 1 verdicts are about other texts"
    assert told in capsys.readouterr().out
    read = Statistics.load(scene / "statistics.json")
    [entry] = read.entries[("AVOS", "video_summary")].values()
    # 4.5 of two, 1 unsafe, 1 rejected, one left out, the judge's 4 twice
    assert entry.n == 5
    assert entry.mean == pytest.approx((4.5 + 1 + 1 + 4 + 4) / 5)
    made_by = read.provenance
    exported = scene / "exported.jsonl"
    exported.write_bytes(verdict_bytes(read_verdicts(path, DIMENSIONS), ".jsonl"))
    assert made_by.verdicts == hashlib.sha256(exported.read_bytes()).hexdigest()
    assert (made_by.replaced, made_by.left_out) == (3, 1)


def test_a_config_names_the_verdicts(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scene / "clinicians.csv").write_bytes(verdict_bytes([verdict(0, 5)], ".csv"))
    named = scene / "verdicts.yaml"
    named.write_text(f"paths: {{root: '{scene}', verdicts: '${{paths.root}}/clinicians.csv'}}\n")
    assert baseline(scene, f"--config={named}") == 0
    assert "clinicians: 1 of 12 answers have their score" in capsys.readouterr().out
    # The option goes before it, and the shipped overlay names the dashboard's own file.
    (scene / "other.csv").write_bytes(verdict_bytes([verdict(0, 5), verdict(1, 5)], ".csv"))
    assert baseline(scene, f"--config={named}", f"--verdicts={scene / 'other.csv'}") == 0
    assert "clinicians: 2 of 12" in capsys.readouterr().out
    assert verdicts_of(None, ["configs/grpo.yaml", "configs/verdicts.yaml"]) == Path(
        "runs-review/verdicts.sqlite"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--run=other"], "no stored answers of the tasks video_summary in run other"),
        (["--steps", "5", "9"], "in rounds 5 to 9"),
        (["--tasks", "tal"], "no stored answers of the tasks tal"),
        (["--verdicts={scene}/none.csv"], "no verdict is about a judged answer"),
        (["--verdicts={scene}/rubric.csv"], "by the rubric other@1, but the judge's is medgrpo-five@1"),
        (["--verdicts={scene}/missing.csv"], "cannot be read as verdicts"),
    ],
)
def test_what_does_not_fit_is_one_line(
    scene: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    (scene / "none.csv").write_bytes(verdict_bytes([verdict(0, 3, step=9)], ".csv"))
    (scene / "rubric.csv").write_bytes(verdict_bytes([verdict(0, 3, rubric="other@1")], ".csv"))
    assert baseline(scene, *(option.format(scene=scene) for option in options)) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_another_reward_is_refused(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = scene / "reward.yaml"
    other.write_text(CONFIG.replace("rewards.JudgeReward", "rewards.SimilarityReward"))
    assert baseline(scene) == 2
    assert "give the configs that the run was trained with" in capsys.readouterr().err


def test_options_belong_to_their_side(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["baseline", f"--config={scene / 'reward.yaml'}", "--out=o.json", "--model=m"]
    assert cli.main(common) == 2
    assert "--model answers questions: name a file of them with --records" in capsys.readouterr().err
    assert cli.main([*common, "--records=r.json", "--verdicts=v.csv"]) == 2
    assert "--verdicts is about stored answers" in capsys.readouterr().err
