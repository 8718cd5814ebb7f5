"""Answers of a checkpoint to a list of questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.data.prompts import derive_seed
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import ClipError
from medgrpo.evaluation.blind import shuffle_videos as shuffled
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.sampling_file import read_sampling
from medgrpo.rollout.engine import RolloutEngine
from medgrpo.rollout.hf import HFEngine
from medgrpo.tasks import get_task
from medgrpo.types import Completion, Sample

__all__ = ["Checkpoint", "complete", "predict"]


class Checkpoint:
    """A Hugging Face directory, loaded, that answers questions.

    Args:
        model_dir: Model, tokenizer and processor, as ``export`` writes them.
        sampling: Frames and sizes; None takes what the model was trained with.
        engine: Samples the answers; None forwards the policy itself.
        max_rows: Answers that the policy itself decodes together.

    Raises:
        UserError: If it cannot be loaded.
    """

    def __init__(
        self,
        model_dir: str | Path,
        sampling: SamplingPolicy | None = None,
        engine: RolloutEngine | None = None,
        max_rows: int = 64,
    ) -> None:
        self.policy = QwenVLPolicy(str(model_dir))
        self.policy.setup()
        self.encoder = self.policy.encoder(sampling if sampling is not None else read_sampling(model_dir))
        self.engine = engine or HFEngine(max_rows=max_rows)
        self.engine.bind(self.policy, self.encoder)

    def answer(
        self,
        prompts: Sequence[EncodedPrompt],
        *,
        n: int,
        max_new_tokens: Sequence[int],
        temperature: float,
        seeds: Sequence[int],
    ) -> list[list[Completion]]:
        """``n`` answers to each prompt of its encoder, see :meth:`RolloutEngine.generate`."""
        return self.engine.generate(
            prompts, n=n, max_new_tokens=max_new_tokens, temperature=temperature, seeds=seeds
        )


def complete(
    model_dir: str | Path,
    samples: Sequence[Sample],
    *,
    temperature: float = 0.0,
    n: int = 1,
    seed: int = 0,
    batch_size: int = 64,
    engine: RolloutEngine | None = None,
    sampling: SamplingPolicy | None = None,
    max_new_tokens: int | None = None,
    progress: str = "",
    problems: dict[int, str] | None = None,
) -> list[list[Completion]]:
    """Answer questions with a Hugging Face directory.

    Args:
        model_dir: Model, tokenizer and processor, as ``export`` writes them.
        samples: Questions; answers are not looked at.
        temperature: 0 is greedy.
        n: Answers a question.
        seed: For sampling.
        batch_size: Answers asked for together, and decoded together where the policy itself answers.
        engine: Samples the answers; None forwards the policy itself.
        sampling: Frames and sizes; None takes what the model was trained with.
        max_new_tokens: One limit for all; None takes each task's own.
        progress: Title of the progress bar; empty shows none.
        problems: Takes, by index of the sample, why its frames cannot be read; None ends with the first.

    Returns:
        ``n`` completions for each sample, in order; none for one whose frames cannot be read.

    Raises:
        UserError: If frames cannot be read and that is not asked for; the message names the row.
    """
    from tqdm import tqdm

    checkpoint = Checkpoint(model_dir, sampling, engine, max_rows=batch_size)
    results: list[list[Completion]] = [[] for _ in samples]
    # Answers of one length are decoded together; prompts are encoded piece by piece, to bound the memory.
    limits = [max_new_tokens or get_task(sample.task).max_new_tokens for sample in samples]
    order = sorted(range(len(samples)), key=lambda i: (limits[i], samples[i].task, samples[i].dataset, i))
    piece = max(1, batch_size // n)
    with tqdm(total=len(samples), desc=progress, disable=not progress, unit="row") as bar:
        for start in range(0, len(order), piece):
            chosen = order[start : start + piece]
            asked = _prompts(checkpoint.encoder, samples, chosen, problems)
            answers = checkpoint.answer(
                list(asked.values()),
                n=n,
                max_new_tokens=[limits[i] for i in asked],
                temperature=temperature,
                seeds=[derive_seed(seed, index) for index in asked],
            )
            for index, group in zip(asked, answers, strict=True):
                results[index] = group
            bar.update(len(chosen))
    return results


def _prompts(
    encoder: Encoder, samples: Sequence[Sample], chosen: Sequence[int], problems: dict[int, str] | None
) -> dict[int, EncodedPrompt]:
    """The chosen questions whose frames can be read; what is wrong with the others goes to ``problems``."""
    prompts = {}
    for index in chosen:
        try:
            prompts[index] = encoder.prompt(samples[index])
        except ClipError as error:
            if problems is None:
                raise
            problems[index] = str(error.__cause__)
    return prompts


def predict(
    model_dir: str | Path,
    samples: Sequence[Sample],
    *,
    shuffle_videos: bool = False,
    temperature: float = 0.0,
    n: int = 1,
    seed: int = 0,
    batch_size: int = 64,
    engine: RolloutEngine | None = None,
    sampling: SamplingPolicy | None = None,
    max_new_tokens: int | None = None,
    progress: str = "",
    problems: dict[int, str] | None = None,
) -> list[list[str]]:
    """Texts of :func:`complete`; ``shuffle_videos`` asks over wrong clips (the blind baseline)."""
    asked = shuffled(samples, seed=seed) if shuffle_videos else samples
    completions = complete(
        model_dir,
        asked,
        temperature=temperature,
        n=n,
        seed=seed,
        batch_size=batch_size,
        engine=engine,
        sampling=sampling,
        max_new_tokens=max_new_tokens,
        progress=progress,
        problems=problems,
    )
    return [[completion.text for completion in group] for group in completions]
