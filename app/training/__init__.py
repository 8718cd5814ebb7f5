"""The page about a training run: curves, and every answer with the reasons for its reward."""
