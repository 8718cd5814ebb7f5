"""Questions with their reference answers, for supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from torch.utils.data import Dataset

from medgrpo.data.batch import PolicyBatch
from medgrpo.data.clip_data import ClipDataModule
from medgrpo.data.clip_frames import DECODE_SECONDS
from medgrpo.data.clip_loader import ClipLoader
from medgrpo.data.lazy_records import answered_of, clips_of, pairs_of
from medgrpo.data.mixture import row_weights
from medgrpo.data.readable import ReadableRows
from medgrpo.data.sampler import BatchRows, ClipBatchSampler
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError

__all__ = ["AnsweredBatches", "SFTData", "ValidationBatches"]


class AnsweredBatches(Dataset[PolicyBatch | None]):
    """Encodes the rows of a batch and their reference answers when asked for them.

    Args:
        rows: Rows with answers.

    Raises:
        UserError: If a row has no answer, such as those of the test split.
    """

    def __init__(self, rows: ReadableRows) -> None:
        answered = answered_of(rows.samples)
        if not all(answered):
            sample = rows.samples[answered.index(False)]
            raise UserError(
                f"row {sample.row} ({sample.id}): no reference answer (gpt turn), which training needs"
            )
        self.rows = rows

    def __getitem__(self, batch: BatchRows) -> PolicyBatch:
        return self.rows.collate(self.rows.take(batch.rows, batch.spare))


class ValidationBatches(AnsweredBatches):
    """The same, where no other rows may stand for those that cannot be read: then the batch is None."""

    def __getitem__(self, batch: Sequence[int]) -> PolicyBatch | None:  # type: ignore[override]
        prompts = [prompt for prompt in map(self.rows.prompt, batch) if prompt is not None]
        return self.rows.collate(prompts) if prompts else None


class SFTData(ClipDataModule):
    """Batches of clips with all that is asked about them.

    Args:
        records: Training records file.
        val_records: Validation records file; None validates nothing.
        sampling: Frames and sizes.
        media_root: Where relative frame paths start; None is the records file's folder.
        media_prefixes: Starts of frame paths to replace, old to new (absolute or relative to the root).
        clips_per_batch: Clips in a batch; each brings up to ``rows_per_clip`` questions.
        rows_per_clip: Questions of a clip in one batch.
        val_rows: Validate on so many rows at most, evenly spread over the file.
        num_workers: Processes that decode and encode.
        prefetch_factor: Batches that each of them makes ahead, at most; they wait in shared memory.
        max_prompt_tokens: Longest prompt accepted.
        video_backend: Decoder of video files: pyav, torchcodec or decord.
        decode_seconds: Most time that it may take for a clip, after which it is stopped; None is no limit.
        frame_cache: Folder that keeps resized frames between runs; None keeps recent ones in memory.
        frame_cache_gb: Most gigabytes in that folder; frames that were not used for longest go first.
        max_bad_clips: Most clips whose frames cannot be read that are set aside, listed in
            ``bad_clips.jsonl`` in the run's folder; 0 stops at the first.
        seed: Order of the batches.
        mixture_temperature: 1 trains on every row once an epoch; more brings (dataset, task) pairs of
            different sizes closer together, see :func:`medgrpo.data.mixture.row_weights`.
        mixture_weights: ``dataset/task``, ``dataset`` or ``task`` to a factor of its share.
    """

    def __init__(
        self,
        records: str,
        sampling: SamplingPolicy,
        val_records: str | None = None,
        media_root: str | None = None,
        media_prefixes: dict[str, str] | None = None,
        clips_per_batch: int = 16,
        rows_per_clip: int = 3,
        val_rows: int = 512,
        num_workers: int = 1,
        prefetch_factor: int = 2,
        max_prompt_tokens: int = 32768,
        video_backend: str = "pyav",
        decode_seconds: float | None = DECODE_SECONDS,
        frame_cache: str | None = None,
        frame_cache_gb: float = 100.0,
        max_bad_clips: int = 0,
        seed: int = 0,
        mixture_temperature: float = 1.0,
        mixture_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__(
            (records, val_records),
            sampling,
            media_root=media_root,
            media_prefixes=media_prefixes,
            max_prompt_tokens=max_prompt_tokens,
            video_backend=video_backend,
            decode_seconds=decode_seconds,
            frame_cache=frame_cache,
            frame_cache_gb=frame_cache_gb,
            max_bad_clips=max_bad_clips,
        )
        self.records = records
        self.val_records = val_records
        self.clips_per_batch = clips_per_batch
        self.rows_per_clip = rows_per_clip
        self.val_rows = val_rows
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.seed = seed
        self.mixture_temperature = mixture_temperature
        self.mixture_weights = mixture_weights
        self.skip = 0

    def setup(self, stage: str) -> None:
        """Open the records and make an encoder for the policy in training."""
        self.encoder = self.encoder_for(self.attached_trainer.lightning_module.policy)
        if stage == "fit":
            self.train_samples = self.open_records(self.records)
        if self.val_records is not None:
            samples = self.open_records(self.val_records)
            stride = max(1, -(-len(samples) // self.val_rows))
            self.val_samples = samples[::stride]

    def train_dataloader(self) -> ClipLoader:
        """Shuffled clips, resumed after the batches that an interrupted epoch has seen."""
        weights = None
        if self.mixture_temperature != 1.0 or self.mixture_weights:
            pairs = pairs_of(self.train_samples)
            weights = row_weights(pairs, self.mixture_temperature, self.mixture_weights)
        sampler = ClipBatchSampler(
            clips_of(self.train_samples),
            clips_per_batch=self.clips_per_batch,
            rows_per_clip=self.rows_per_clip,
            seed=self.seed,
            rank=self.attached_trainer.global_rank,
            world_size=self.attached_trainer.world_size,
            skip=self.skip,
            weights=weights,
            spare_clips=self.max_bad_clips,
        )
        self.skip = 0
        rows = self.readable(self.records, self.train_samples, self.encoder)
        return self._loader(AnsweredBatches(rows), sampler)

    def val_dataloader(self) -> ClipLoader | list[Any]:
        """Validation rows in order, strided over the ranks, in as many batches on each.

        Where weights are in pieces, a rank with a batch more than the others would wait for them for ever.
        """
        if self.val_records is None:
            return []
        world = self.attached_trainer.world_size
        samples = self.val_samples[self.attached_trainer.global_rank :: world]
        most = -(-len(self.val_samples) // world)
        count = max(-(-most // (self.clips_per_batch * self.rows_per_clip)), 1)
        ends = [len(samples) * batch // count for batch in range(count + 1)]
        batches = [range(start, end) for start, end in pairwise(ends)]
        rows = self.readable(self.val_records, samples, self.encoder)
        return self._loader(ValidationBatches(rows), batches)

    def _loader(self, batches: Dataset[Any], sampler: Iterable[Any]) -> ClipLoader:
        return ClipLoader(
            batches, sampler, num_workers=self.num_workers, prefetch_factor=self.prefetch_factor
        )

    def state_dict(self) -> dict[str, int]:
        """Batches of the current epoch that have been trained on."""
        if self.trainer is None:
            return {"batches": 0}
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        finished = progress.ready >= self.trainer.num_training_batches
        return {"batches": 0 if finished else progress.ready}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue an interrupted epoch after its last batch."""
        self.skip = state_dict["batches"]
