"""Statistics of answers that vLLM samples: the same as of the policy's own forward."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml

from medgrpo.commands import baseline
from medgrpo.data.synthetic.writer import write_world
from medgrpo.demo.stages import base_model
from medgrpo.rewards.statistics import Statistics
from tests.rollout.engines import leave_process_group, uncompiled

pytestmark = pytest.mark.vllm

# It tells answers apart whatever they say.
TASKS = {"tasks": {"tal": 1.0, "stg": 1.0}}
VOWELS = {"class_path": "tests.modules.grpo_scene.VowelReward", "init_args": TASKS}
REWARD = {"class_path": "medgrpo.rewards.CompositeReward", "init_args": {"components": {"vowels": VOWELS}}}
SMALL = {"max_model_len": 2048, "max_num_seqs": 16, "kv_cache_gb": 0.1, "enforce_eager": True}


def statistics(folder: Path, engine: dict[str, Any] | None, *options: str) -> Statistics:
    """What the command writes under a config with this engine."""
    module = {"reward": REWARD} | ({} if engine is None else {"engine": engine})
    (folder / "grpo.yaml").write_text(yaml.safe_dump({"paths": {"run": "r"}, "model": {"init_args": module}}))
    parser = argparse.ArgumentParser()
    baseline.add_arguments(parser)
    given = [f"--config={folder / 'grpo.yaml'}", f"--model={base_model()}", f"--out={folder / 's.json'}"]
    given += [f"--records={folder / 'world' / 'train.json'}", "--prompts-per-pair=2", "--max-new-tokens=16"]
    assert baseline.run(parser.parse_args([*given, *options])) == 0
    return Statistics.load(folder / "s.json")


def test_both_engines_measure_the_same(tmp_path: Path) -> None:
    write_world(tmp_path / "world", videos=4, seed=0)
    vllm = {"class_path": "medgrpo.rollout.VLLMEngine", "init_args": SMALL}
    greedy = ("--temperature=0", "--samples=1", "--batch-size=8")
    ours = statistics(tmp_path, None, *greedy)
    with uncompiled():
        theirs = statistics(tmp_path, vllm, *greedy)
        leave_process_group()
        sampled = statistics(tmp_path, vllm, "--samples=4")
    leave_process_group()
    assert any(entry.std > 0 for metrics in ours.entries.values() for entry in metrics.values())
    assert theirs.entries == ours.entries
    assert (ours.provenance.engine, theirs.provenance.engine) == ("HFEngine", "VLLMEngine")
    assert theirs.provenance.checkpoint == ours.provenance.checkpoint
    for pair, metrics in ours.entries.items():
        (found,) = sampled.entries[pair].values()
        assert found.n == 4 * metrics["vowels@1"].n
        assert found.std > 0
    assert (sampled.provenance.temperature, sampled.provenance.samples_per_prompt) == (1.0, 4)
