"""Parts of a GRPO config that commands use without training: its reward and its rollout engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.rewards import CompositeReward
    from medgrpo.rollout import RolloutEngine

__all__ = ["GRPOConfig"]

_UNUSED = [("paths.statistics", "null"), ("paths.model", "unused"), ("paths.records", "unused")]
"""A training run needs them; its parts do not."""


class GRPOConfig:
    """The configuration of a training run, composed from files.

    Args:
        files: As ``fit --config`` takes them, later over earlier.

    Raises:
        UserError: If a file is missing or malformed, or they describe no reward.
    """

    def __init__(self, files: Sequence[str]) -> None:
        from medgrpo.compose import compose

        self._files = ", ".join(files)
        tree = compose(files, _UNUSED)
        try:
            self._module: dict[str, Any] = tree["model"]["init_args"]
            self._components: dict[str, Any] = self._module["reward"]["init_args"]["components"]
        except (KeyError, TypeError):
            raise UserError(
                f"{self._files}: no model.init_args.reward with components; is it a GRPO config?"
            ) from None

    def reward(self) -> CompositeReward:
        """The reward without its normalizer and statistics.

        Raises:
            UserError: If its arguments are wrong.
        """
        from medgrpo.rewards import CompositeReward, IdentityNormalizer

        node = self._module["reward"]
        parts = {"class_path": node["class_path"], "init_args": {"components": self._components}}
        return CompositeReward(self._built(CompositeReward, "reward", parts).components, IdentityNormalizer())

    def engine(self) -> RolloutEngine | None:
        """The engine; None for the policy's own forward, whose rows the caller decides.

        Raises:
            UserError: If its arguments are wrong.
        """
        from medgrpo.rollout import HFEngine, RolloutEngine

        node = self._module.get("engine")
        engine: RolloutEngine | None = None if node is None else self._built(RolloutEngine, "engine", node)
        return None if isinstance(engine, HFEngine) else engine

    def _built(self, kind: type, name: str, node: Any) -> Any:
        """An object of a class or its subclasses, from the node of this name."""
        from jsonargparse import ArgumentError, ArgumentParser

        from medgrpo.parse_errors import useful_line

        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument(f"--{name}", type=kind)
        try:
            return parser.instantiate(parser.parse_object({name: node}))[name]
        except ArgumentError as error:
            raise UserError(f"{self._files}: {useful_line(str(error))}") from error
