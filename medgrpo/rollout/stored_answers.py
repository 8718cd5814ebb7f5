"""Answers of a round that an earlier start of the run has finished: read back instead of sampled again.

A run that is killed while it trains on a round has that round in the store. Its answers are taken from there
if they are certainly those that would be sampled now: the same policy, settings, prompts and references.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from medgrpo.errors import UserError
from medgrpo.rollout.schema import rollout_from_row
from medgrpo.rollout.shards import beside_merging, current_shards, list_shards, read_rows
from medgrpo.rollout.store import RolloutStore
from medgrpo.types import Completion, Reward, Rollout

__all__ = ["StoredAnswers", "group_id", "stored_answers"]


def group_id(round_index: int, slot: int, turn: int | None = None) -> str:
    """Name of a group in the store.

    Args:
        round_index: From 0.
        slot: Of the prompt in the round.
        turn: Of a group that was replaced, which of the slot's prompts it was, from 0; None for the group
            that was trained on.
    """
    return f"{round_index:06d}-{slot:04d}" + ("" if turn is None else f".{turn}")


class StoredAnswers:
    """The answers of one rank and round, with their rewards.

    Args:
        round_index: Which round.
        rollouts: All of its answers on this rank.
        source: Where they were read, for messages.
    """

    def __init__(self, round_index: int, rollouts: Sequence[Rollout], source: str = "") -> None:
        self.round_index = round_index
        self.source = source
        self._groups: dict[str, list[Rollout]] = defaultdict(list)
        for rollout in sorted(rollouts, key=lambda rollout: rollout.index):
            self._groups[rollout.group_id].append(rollout)

    def fit(self, prompts: Mapping[int, Any]) -> bool:
        """Whether these are answers to the prompts that a round begins with, by slot, and to no others."""
        slots = {name.partition(".")[0] for name in self._groups}
        if slots != {group_id(self.round_index, slot) for slot in prompts}:
            return False
        return all(self._find(slot, 0, prompt) is not None for slot, prompt in prompts.items())

    def take(self, slot: int, turn: int, prompt: Any) -> tuple[list[Completion], list[Reward]]:
        """Answers and rewards of one group.

        Args:
            slot: Of the prompt in the round.
            turn: 0 for the prompt that the slot began with, then its replacements.
            prompt: What was asked.

        Raises:
            UserError: If the round holds another group there, which a round of :meth:`fit` does not.
        """
        group = self._find(slot, turn, prompt)
        if group is None:
            name = group_id(self.round_index, slot)
            raise UserError(
                f"{self.source}: the answers of group {name} are to another prompt than this run asks; "
                "delete the file to sample the round again"
            )
        return [rollout.completion for rollout in group], [rollout.reward for rollout in group]

    def _find(self, slot: int, turn: int, prompt: Any) -> list[Rollout] | None:
        # A group that another one replaced has its turn in its name, the last one of a slot has none.
        replaced = self._groups.get(group_id(self.round_index, slot, turn))
        group = replaced or self._groups.get(group_id(self.round_index, slot))
        if group is None:
            return None
        stored, asked = group[0], prompt.sample
        same = (
            stored.sample.key == asked.key
            and stored.sample.answer == asked.answer
            and stored.sample.truth == asked.truth
            and stored.prompt_ids == tuple(int(token) for token in prompt.ids)
            and stored.times == tuple(prompt.clip.true_times)
        )
        return group if same else None


def stored_answers(store: RolloutStore, round_index: int, rank: int) -> StoredAnswers | None:
    """What an earlier start of the run stored of a round on this rank, under the same policy and settings.

    Args:
        store: With the settings and the policy's hash of the moment; without settings nothing is known to be
            the same, and nothing is found.
        round_index: Which round.
        rank: This process.

    Raises:
        UserError: If the file is damaged.
    """
    if not store.settings:
        return None
    return beside_merging(lambda: _stored_answers(store, round_index, rank))


def _stored_answers(store: RolloutStore, round_index: int, rank: int) -> StoredAnswers | None:
    for shard in current_shards(list_shards(store.root, store.run_id, round_index)):
        if shard.rank != rank or shard.settings != store.settings:
            continue
        rows = read_rows(shard).to_pylist()
        if rows and all(row["policy_hash"] == store.policy_hash for row in rows):
            return StoredAnswers(round_index, [rollout_from_row(row) for row in rows], str(shard.path))
    return None
