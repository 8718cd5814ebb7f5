"""The process in which vLLM runs: it knows prompts, sampling and weights, and nothing of training."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from medgrpo.errors import UserError
from medgrpo.rollout.handover import PromptView
from medgrpo.rollout.vllm_process import kept_process

__all__ = ["Answer", "VLLMHost"]

Answer = tuple[list[int], list[float]]
"""Token ids of an answer and their log-probabilities."""


class VLLMHost:
    """A vLLM engine in this process.

    Args:
        path: Hugging Face directory to start from.
        options: Further arguments of ``vllm.LLM``.

    Raises:
        UserError: If vLLM cannot serve the model.
    """

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        with kept_process():
            from vllm import LLM

            try:
                self.llm = LLM(
                    model=path,
                    generation_config="vllm",  # its own neutral values
                    logprobs_mode="processed_logprobs",  # of the distribution that is sampled from
                    mm_device_do_normalize=False,  # would normalise videos with the numbers for images
                    mm_processor_cache_gb=0,  # a clip is seen once a round
                    use_tqdm_on_load=False,
                    **options,
                )
            except ValueError as error:
                raise UserError(f"vLLM cannot serve {path}: {' '.join(str(error).split())}") from error
        self.max_num_seqs: int = options["max_num_seqs"]

    @property
    def asleep(self) -> bool:
        """Whether any of its memory is given back."""
        return bool(self.llm.llm_engine.is_sleeping())

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Put weights in, under their names in a checkpoint, and forget what was computed with others."""
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
        self.llm.reset_prefix_cache()
        self.llm.llm_engine.reset_encoder_cache()

    def answers(
        self, requests: Iterable[tuple[dict[str, Any], dict[str, Any]]], seed: int
    ) -> Iterator[tuple[int, list[Answer]]]:
        """Answer prompts; what is not asked for any more is given up.

        Args:
            requests: Prompts from :func:`medgrpo.rollout.handover.hand_over`, each with its
                :func:`medgrpo.rollout.vllm_request.sampling_options`.
            seed: The same seed, weights and requests give the same answers.

        Yields:
            The place of a request and its answers, as they are finished.
        """
        core = self.llm.llm_engine
        # What is left of earlier calls would change the rounding of equal prompts.
        self.llm.reset_prefix_cache()
        # Not a seed a request: on a CPU vLLM cannot split the prompt of such a request over two steps.
        torch.manual_seed(seed)
        np.random.seed(seed)
        waiting = deque(enumerate(requests))
        places: dict[str, int] = {}
        try:
            while waiting or core.has_unfinished_requests():
                # Only the clips of prompts in progress are held as normalised pixels.
                while waiting and core.get_num_unfinished_requests() < self.max_num_seqs:
                    place, request = waiting.popleft()
                    places[self._enqueue(*request)] = place
                for output in core.step():
                    yield places.pop(output.request_id), [_answer(one) for one in output.outputs]
        except GeneratorExit:
            core.abort_request(list(places))
            raise

    def view(self, prompt: dict[str, Any], sampling: dict[str, Any]) -> list[PromptView]:
        """What vLLM asks its model about a prompt while it answers it, once for each time it asks."""
        views: list[PromptView] = []
        with _recorded(self.llm, views):
            for _ in self.answers([(prompt, sampling)], seed=0):
                pass
        return views

    def wake(self, tag: str) -> None:
        """Take memory back: that of ``weights``, then that of ``kv_cache``."""
        self.llm.wake_up(tags=[tag])

    def sleep(self, level: int) -> None:
        """Give memory back: 1 keeps the weights on the CPU, 2 nothing."""
        self.llm.sleep(level)

    def _enqueue(self, prompt: dict[str, Any], sampling: dict[str, Any]) -> str:
        """Put a prompt into the queue; the name that its output will have."""
        from vllm import SamplingParams

        options = dict(sampling)
        banned = options.pop("banned_ids")
        parameters = SamplingParams(
            **options,
            logprobs=0,
            logit_bias=dict.fromkeys(banned, float("-inf")),
            # Answers end where the sampling says, not at whatever else the checkpoint's files list.
            ignore_eos=True,
            detokenize=False,
        )
        [name] = self.llm.enqueue([prompt], parameters, use_tqdm=False)
        # Inside the engine it has a random ending.
        return str(name).rpartition("-")[0] or str(name)


def _answer(output: Any) -> Answer:
    ids = list(output.token_ids)
    return ids, [entry[token].logprob for token, entry in zip(ids, output.logprobs, strict=True)]


@contextmanager
def _recorded(llm: Any, views: list[PromptView]) -> Iterator[None]:
    """Write down the ids, positions and grids of every prompt that vLLM asks its model to place."""

    def listen(model: Any) -> None:
        compute = model.get_mrope_input_positions

        def record(ids: Sequence[int], features: Sequence[Any]) -> tuple[torch.Tensor, int]:
            positions, delta = compute(ids, features)
            grids = [feature.data["video_grid_thw"].data.tolist() for feature in features]
            views.append(
                PromptView(np.asarray(ids), positions.cpu().numpy(), len(ids) + int(delta), np.array(grids))
            )
            return positions, delta

        model.get_mrope_input_positions = record

    def leave(model: Any) -> None:
        del model.get_mrope_input_positions

    llm.apply_model(listen)
    try:
        yield
    finally:
        llm.apply_model(leave)
