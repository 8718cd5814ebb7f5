"""Rounds out of the ordinary: answers without words, clips of all kinds, more slots than rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.modules.tiny import Family
from medgrpo.rollout.hf import HFEngine
from medgrpo.rollout.store import read_rollouts
from medgrpo.types import Clip
from tests.data.encoding import encode
from tests.modules import grpo_scene as scenes
from tests.modules.test_refill import FlatReward
from tests.modules.test_shared_prefix import ANSWERS, assert_same, outcome, rows
from tests.tiny_models import FAMILIES, frame_list_sample, tiny_policy


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("odd"))


def _few_rows(scene: Path, count: int) -> Path:
    """Records of the first ``count`` rows about temporal localisation of one dataset."""
    known = json.loads((scene / "world" / "train.json").read_text())
    kept = [row for row in known if row["qa_type"] == "tal" and row["data_source"] == "NurViD"][:count]
    assert len(kept) == count
    path = scene / "world" / f"few-{count}.json"
    path.write_text(json.dumps(kept))
    return path


class _Speechless(HFEngine):
    """Ends the first answer to every prompt at once."""

    def generate(self, prompts: Any, **options: Any) -> Any:
        found = super().generate(prompts, **options)
        end = (self.encoder.eos_token_id,)
        return [
            [replace(group[0], text="", token_ids=end, logps=(-1.0,), finish_reason="stop"), *group[1:]]
            for group in found
        ]


def test_an_answer_without_a_word_is_an_answer(scene: Path, tmp_path: Path) -> None:
    trainer, module, data = scenes.make_run(scene, tmp_path, module={"engine": _Speechless()})
    trainer.fit(module, data)
    stored = read_rollouts(tmp_path, "t").to_pylist()
    silent = [row for row in stored if row["sample_index"] == 0]
    assert len(stored) == 2 * 4 * 4
    assert all(row["completion_text"] == "" and row["kept"] and not row["truncated"] for row in silent)
    assert all(row["reward"] == 0 and row["advantage"] < 0 for row in silent)
    assert {row["parse_status"] for row in silent} == {"failed"}
    assert all(torch.isfinite(value).all() for value in scenes.weights(module).values())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_frames_and_a_video_file_share_a_batch(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family)
    picture = frame_list_sample(tmp_path, row=0, frames=1)
    frames = frame_list_sample(tmp_path, row=1, frames=8)
    film = replace(frames, row=2, clip=Clip(video=encode(tmp_path / "a.mp4")))
    prompts = [encoder.prompt(sample) for sample in (picture, frames, film)]
    answers = [*ANSWERS, [[70, 71], [72]]]
    packed = encoder.collate_groups(prompts, answers)
    assert len(packed.video_grid_thw) == 3
    assert len({len(prompt.ids) for prompt in prompts}) == 3
    assert_same(outcome(policy, packed), outcome(policy, rows(encoder, prompts, answers)))


def test_a_question_without_pictures_is_told_before_training(scene: Path, tmp_path: Path) -> None:
    spoilt = json.loads(_few_rows(scene, 2).read_text())
    del spoilt[1]["video"]
    path = scene / "world" / "text.json"
    path.write_text(json.dumps(spoilt))
    trainer, module, data = scenes.make_run(scene, tmp_path)
    data.records = str(path)
    with pytest.raises(UserError, match=r"text\.json: row 1: field 'video': expected a list of frame files"):
        trainer.fit(module, data)


def test_more_slots_than_rows_ask_rows_again(scene: Path, tmp_path: Path) -> None:
    trainer, module, data = scenes.make_run(scene, tmp_path, data={"prompts_per_round": 6})
    data.records = str(_few_rows(scene, 2))
    trainer.fit(module, data)
    stored = read_rollouts(tmp_path, "t").to_pylist()
    for step in (0, 1):
        asked = {row["group_id"]: row["sample_key"] for row in stored if row["step"] == step}
        assert sorted(Counter(asked.values()).values()) == [3, 3]
    groups: dict[str, list[Any]] = {}
    for row in stored:
        groups.setdefault(row["group_id"], []).append(row["completion_ids"])
    assert len({str(answers) for answers in groups.values()}) == 12  # each with answers of its own


def test_a_pair_without_further_rows_keeps_its_flat_groups(scene: Path, tmp_path: Path) -> None:
    options = {"reward": scenes.make_reward(FlatReward), "optimizer": lambda p: torch.optim.SGD(p, lr=0.5)}
    trainer, module, data = scenes.make_run(
        scene, tmp_path, rounds=1, module=options, data={"prompts_per_round": 2, "refill_attempts": 3}
    )
    data.records = str(_few_rows(scene, 3))
    trainer.fit(module, data)
    stored = read_rollouts(tmp_path, "t").to_pylist()
    reasons = Counter((row["group_id"], row["skip_reason"]) for row in stored if row["sample_index"] == 0)
    # The one row left is asked for both slots; then there is none.
    assert sorted(reasons) == [
        ("000000-0000", "zero_variance"),
        ("000000-0000.0", "refilled"),
        ("000000-0001", "zero_variance"),
        ("000000-0001.0", "refilled"),
    ]
