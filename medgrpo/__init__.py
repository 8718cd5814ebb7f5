"""medgrpo: supervised and GRPO training of vision-language models on medical video."""

__all__ = ["__version__"]

__version__ = "0.1.0"
