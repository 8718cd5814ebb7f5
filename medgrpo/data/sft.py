"""Questions with their reference answers, for supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from medgrpo.data.batch import PolicyBatch
from medgrpo.data.clip_data import ClipDataModule
from medgrpo.data.clip_frames import DECODE_SECONDS
from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.data.lazy_records import answered_of, clips_of, pairs_of
from medgrpo.data.mixture import row_weights
from medgrpo.data.sampler import ClipBatchSampler
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError
from medgrpo.types import Sample

__all__ = ["AnsweredSamples", "SFTData", "answered_collate"]


class AnsweredSamples(Dataset[tuple[EncodedPrompt, list[int]]]):
    """Encodes a row and its reference answer when asked for it.

    Args:
        samples: Rows with answers.
        encoder: Of the policy in training.

    Raises:
        UserError: If a row has no answer, such as those of the test split.
    """

    def __init__(self, samples: Sequence[Sample], encoder: Encoder) -> None:
        answered = answered_of(samples)
        if not all(answered):
            sample = samples[answered.index(False)]
            raise UserError(
                f"row {sample.row} ({sample.id}): no reference answer (gpt turn), which training needs"
            )
        self.samples = samples
        self.encoder = encoder

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[EncodedPrompt, list[int]]:
        sample = self.samples[index]
        assert sample.answer is not None
        return self.encoder.prompt(sample), self.encoder.answer(sample.answer)


def answered_collate(encoder: Encoder) -> Callable[[Sequence[tuple[EncodedPrompt, list[int]]]], PolicyBatch]:
    """A ``collate_fn`` for :class:`AnsweredSamples`."""

    def collate_fn(items: Sequence[tuple[EncodedPrompt, list[int]]]) -> PolicyBatch:
        return encoder.collate([prompt for prompt, _ in items], [answer for _, answer in items])

    return collate_fn


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
        max_prompt_tokens: Longest prompt accepted.
        video_backend: Decoder of video files: pyav, torchcodec or decord.
        decode_seconds: Most time that it may take for a clip, after which it is stopped; None is no limit.
        frame_cache: Folder that keeps resized frames between runs; None keeps recent ones in memory.
        frame_cache_gb: Most gigabytes in that folder; frames that were not used for longest go first.
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
        max_prompt_tokens: int = 32768,
        video_backend: str = "pyav",
        decode_seconds: float | None = DECODE_SECONDS,
        frame_cache: str | None = None,
        frame_cache_gb: float = 100.0,
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
        )
        self.records = records
        self.val_records = val_records
        self.clips_per_batch = clips_per_batch
        self.rows_per_clip = rows_per_clip
        self.val_rows = val_rows
        self.num_workers = num_workers
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

    def train_dataloader(self) -> DataLoader[Any]:
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
        )
        self.skip = 0
        return self._loader(self.train_samples, batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Validation rows in order, strided over the ranks."""
        if self.val_records is None:
            return []
        samples = self.val_samples[self.attached_trainer.global_rank :: self.attached_trainer.world_size]
        return self._loader(samples, batch_size=self.clips_per_batch * self.rows_per_clip)

    def _loader(self, samples: Sequence[Sample], **options: Any) -> DataLoader[Any]:
        return DataLoader(
            AnsweredSamples(samples, self.encoder),
            collate_fn=answered_collate(self.encoder),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            **options,
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
