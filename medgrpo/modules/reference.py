"""The policy at the start of training: what a KL term keeps close to, and how far training has come.

Where adapters are all that is trained, the start is the same model with its adapters switched off, so no
second copy of the weights is held. Where other weights are trained too, it is a frozen copy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from medgrpo.modules.policy import QwenVLPolicy

__all__ = ["StartPolicy"]


class StartPolicy(nn.Module):
    """The policy as it was when this object was made, before any step or checkpoint.

    Args:
        policy: With its weights loaded.

    Attributes:
        copy: Frozen weights; None where the policy's own do without its adapters, which begin as no change.
    """

    def __init__(self, policy: QwenVLPolicy) -> None:
        super().__init__()
        trained = [name for name, parameter in policy.named_parameters() if parameter.requires_grad]
        adapters_alone = all(".lora_" in name for name in trained)
        self.copy = None if adapters_alone else copy.deepcopy(policy).requires_grad_(False)

    @contextmanager
    def of(self, policy: QwenVLPolicy) -> Iterator[QwenVLPolicy]:
        """The start, for forwards without gradient inside the ``with`` block.

        Args:
            policy: The one that this was made from, as it is now.
        """
        if self.copy is not None:
            yield self.copy
            return
        trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        with policy.model.disable_adapter():
            for parameter in trained:
                # FSDP2 learns from its first forward, which may be this one, what is trained.
                parameter.requires_grad_(True)
            yield policy
