"""medgrpo: supervised and GRPO training of vision-language models on medical video."""

import logging

__all__ = ["__version__"]

__version__ = "0.1.0"


def _is_news(record: logging.LogRecord) -> bool:
    return "Setting accelerator to CPU" not in record.getMessage()


# Where DeepSpeed is installed, save_pretrained imports it, and without a GPU it says so on stdout, where
# commands print for other programs.
logging.getLogger("DeepSpeed").addFilter(_is_news)
