"""Fine-tuning over clips that cannot be read: as far as the config allows, and alike in every run."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from medgrpo.data.batch import PolicyBatch
from medgrpo.data.clip_data import BAD_CLIPS
from medgrpo.errors import UserError
from medgrpo.modules import SFTModule
from tests import forks
from tests.modules import sft_scene
from tests.modules.sft_scene import fit, make_records, spoil

BAD = (1, 6, 7)
"""Of ten clips; with this seed one batch of two holds none but these."""


class Watch(L.Callback):
    """Notes the rows and the clips of each step."""

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: PolicyBatch, index: int) -> None:
        self.steps.append((batch.input_ids.tolist(), batch.pixel_values_videos.sum().item()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory, whole: Path) -> Path:
    folder = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(whole.parent, folder, dirs_exist_ok=True)
    spoil(folder / "train.json", *BAD)
    return folder / "train.json"


def _report(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / BAD_CLIPS).read_text().splitlines()]


def _equal(one: SFTModule, other: SFTModule) -> bool:
    others = other.policy.state_dict()
    return all(torch.equal(weight, others[name]) for name, weight in one.policy.state_dict().items())


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_bad_clip_ends_the_run_by_default(workers: int, spoilt: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fit(spoilt, tmp_path, 12, num_workers=workers)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("row ")
    assert "_2.jpg: frame 2 of the clip is broken" in str(caught.value)
    assert not (tmp_path / BAD_CLIPS).exists()


def test_rows_of_bad_clips_leave_their_batches_whatever_the_workers(
    spoilt: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watches = [Watch(), Watch()]
    caplog.set_level(logging.WARNING, "medgrpo.data.bad_clips")
    runs = [
        fit(spoilt, tmp_path / str(n), 12, num_workers=n, max_bad_clips=3, callbacks=[watches[k]])
        for k, n in enumerate((0, 2))
    ]
    assert watches[0].steps == watches[1].steps
    assert _equal(*runs)
    for folder in (tmp_path / "0", tmp_path / "2"):
        report = _report(folder)
        assert {(line["row"], line["id"]) for line in report} == {
            (2 * clip + k, f"v{clip}&&0&&3&&1.0") for clip in BAD for k in (0, 1)
        }
        assert len(report) == 6
        assert all(line["records"] == str(spoilt) and line["field"] == "video" for line in report)
        assert all("_2.jpg: frame 2 of the clip is broken" in line["problem"] for line in report)
        assert not any(line["problem"].startswith("row") for line in report)
    (metrics,) = (tmp_path / "0").glob("csv/*/metrics.csv")
    last = list(csv.DictReader(metrics.open()))[-1]
    assert (float(last["data/bad_clips"]), float(last["data/bad_rows"])) == (3.0, 6.0)
    told = [record.getMessage() for record in caplog.records if "set aside" in record.getMessage()]
    assert len(told) == len(BAD)  # the workers of the second run tell theirs on stderr
    assert sum("(v6&&0&&3&&1.0)" in message for message in told) == 1


def test_what_is_left_keeps_its_order_and_its_own_frames(whole: Path, spoilt: Path, tmp_path: Path) -> None:
    plain, watch = _Rows(), _Rows()
    fit(whole, tmp_path / "whole", 10, callbacks=[plain])
    fit(spoilt, tmp_path / "spoilt", 10, max_bad_clips=3, callbacks=[watch])
    emptied = 0
    for before, after in zip(plain.clips, watch.clips, strict=True):
        left = [clip for clip in before if clip not in BAD]
        emptied += not left
        assert after == left if left else len(after) == 1 and after[0] not in BAD
    assert emptied
    assert any(
        len(set(before)) > len(set(after)) for before, after in zip(plain.clips, watch.clips, strict=True)
    )


class _Rows(Watch):
    """Notes the clips of each step by the colour of their pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.clips: list[list[int]] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: PolicyBatch, index: int) -> None:
        sizes = batch.video_grid_thw.prod(dim=1).tolist()
        means = [float(part[:, 0].mean()) for part in batch.pixel_values_videos.split(sizes)]
        colours = {self._mean((clip % 2) * 200 + clip): clip for clip in range(10)}
        self.clips.append([min(colours.items(), key=lambda item: abs(item[0] - mean))[1] for mean in means])
        answers = ["The grasper." if clip % 2 else "1.0-3.0 seconds." for clip in self.clips[-1]]
        data = trainer.datamodule
        for row, clip in enumerate(batch.clip_index.tolist()):
            ids = batch.input_ids[row][batch.completion_mask[row]].tolist()
            assert data.encoder.decode(ids) == answers[clip]

    @staticmethod
    def _mean(value: int) -> float:
        """A level of red after the processor's normalisation."""
        return value / 127.5 - 1


def test_an_interrupted_run_resumed_ends_with_the_same_weights(spoilt: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_bad_clips": 3}
    watch = Watch()
    whole_run = fit(spoilt, tmp_path / "whole", 12, callbacks=[watch], **options)
    assert watch.steps[:5] != watch.steps[5:10]  # every epoch has an order of its own
    for stop, workers in ((3, 0), (5, 0), (7, 2), (10, 2)):
        out = tmp_path / f"{stop}"
        shutil.copytree(tmp_path / "whole", out)
        again = Watch()
        ckpt = out / "ckpt" / f"step={stop}.ckpt"
        resumed = fit(spoilt, out, 12, ckpt=ckpt, num_workers=workers, callbacks=[again], **options)
        assert again.steps == watch.steps[stop:], stop
        assert _equal(whole_run, resumed), stop
        assert len(_report(out)) == 6


@pytest.mark.parametrize("workers", [0, 2])
def test_beyond_the_limit_is_one_error(workers: int, spoilt: Path, tmp_path: Path) -> None:
    message = (
        r"^the frames of 3 clips cannot be read, more than max_bad_clips=2; .*bad_clips\.jsonl lists "
        r"them; the last: .*train\.json: row \d+ \(v\d&&0&&3&&1\.0\): .*_2\.jpg: frame 2 of the clip is "
        r"broken: [^\n]*$"
    )
    for _ in range(2):  # an attempt to go on ends alike, and counts nothing twice
        with pytest.raises(UserError, match=message):
            fit(spoilt, tmp_path, 12, num_workers=workers, max_bad_clips=2)
        assert len({line["clip"] for line in _report(tmp_path)}) == 3
    fit(spoilt, tmp_path, 12, num_workers=workers, max_bad_clips=3)


def test_nothing_that_can_be_read_is_one_error(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole.parent, tmp_path / "data")
    spoil(tmp_path / "data" / "train.json", *range(10))
    with pytest.raises(UserError, match=r"train\.json: no clip is left that can be read; .*bad_clips\.jsonl"):
        fit(tmp_path / "data" / "train.json", tmp_path, 1, max_bad_clips=100)


def test_other_errors_are_not_set_aside(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row \d+ .*more than max_prompt_tokens=8"):
        fit(whole, tmp_path, 1, max_bad_clips=100, max_prompt_tokens=8)
    (tmp_path / "full").write_text("in the way")
    with pytest.raises(UserError, match=r"full/.*: cannot write to the frame cache"):
        fit(whole, tmp_path, 1, max_bad_clips=100, frame_cache=str(tmp_path / "full"))
    with pytest.raises(ValueError, match=r"data\.max_bad_clips must be at least 0, got -1"):
        fit(whole, tmp_path, 1, max_bad_clips=-1)
    assert not (tmp_path / BAD_CLIPS).exists()


def test_validation_leaves_bad_rows_out(whole: Path, spoilt: Path, tmp_path: Path) -> None:
    class Validated(L.Callback):
        loss = -1.0

        def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
            if not trainer.sanity_checking:
                self.loss = float(trainer.callback_metrics["val/loss"])

    losses = []
    rows = json.loads(whole.read_text())
    good = whole.with_name("good.json")
    good.write_text(
        json.dumps([row for clip in range(10) if clip not in BAD for row in rows[2 * clip :][:2]])
    )
    for val in (spoilt, good):
        watch = Validated()
        options: dict[str, Any] = {"rows_per_clip": 1, "val_records": str(val), "max_bad_clips": 3}
        every_epoch = {"check_val_every_n_epoch": 1, "num_sanity_val_steps": 0}
        fit(whole, tmp_path / val.stem, 10, callbacks=[watch], trainer=every_epoch, **options)
        losses.append(watch.loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] > 0


@pytest.mark.slow
def test_two_processes_go_on_when_one_has_a_bad_batch(spoilt: Path, tmp_path: Path) -> None:
    def run(limit: int, folder: Path) -> list[forks.Ended]:
        return forks.run(sft_scene.train_on_two_ranks, spoilt, folder, limit, ranks=2)

    done = run(3, tmp_path / "on")
    assert [rank.returncode for rank in done] == [0, 0], done
    one, other = (torch.load(tmp_path / "on" / f"weights-{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    report = _report(tmp_path / "on")
    assert len({line["row"] for line in report}) == len(report) > 1
    said = "".join(rank.stderr for rank in done)
    for line in report:
        assert said.count(f"row {line['row']} ({line['id']})") <= 1
    assert said.count("rows of this clip are set aside") == len({line["clip"] for line in report})
    ended = run(1, tmp_path / "ended")
    assert all(rank.returncode != 0 for rank in ended)
    assert any("more than max_bad_clips=1" in rank.stderr for rank in ended)
