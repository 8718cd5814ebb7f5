"""The commands beside training: one module each, imported only when it is called.

A command module has a docstring whose first line is its help, ``add_arguments(parser)`` and
``run(args) -> int``.
"""

__all__ = ["COMMANDS", "TRAINER_COMMANDS"]

TRAINER_COMMANDS = {
    "fit": "train a model: SFT or GRPO, by config",
    "validate": "run the validation loop of a config",
    "test": "run the test loop of a config",
    "predict": "write predictions of a config's model on its data",
}

COMMANDS = {
    "demo": "medgrpo.commands.demo",
    "ablate": "medgrpo.commands.ablate",
    "synthesize": "medgrpo.commands.synthesize",
    "tiny-base": "medgrpo.commands.tiny_base",
    "check": "medgrpo.commands.check",
    "sampling": "medgrpo.commands.sampling",
    "plan": "medgrpo.commands.plan",
    "cache": "medgrpo.commands.cache",
    "split": "medgrpo.commands.split",
    "build": "medgrpo.commands.build",
    "baseline": "medgrpo.commands.baseline",
    "evaluate": "medgrpo.commands.evaluate",
    "judge": "medgrpo.commands.judge",
    "trust": "medgrpo.commands.trust",
    "verdicts": "medgrpo.commands.verdicts",
    "submit": "medgrpo.commands.submit",
    "compare": "medgrpo.commands.compare",
    "leaderboard": "medgrpo.commands.leaderboard",
    "report": "medgrpo.commands.report",
    "export": "medgrpo.commands.export",
    "media": "medgrpo.commands.media",
    "compact": "medgrpo.commands.compact",
    "serve-rollouts": "medgrpo.commands.serve_rollouts",
}
