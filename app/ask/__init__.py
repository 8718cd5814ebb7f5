"""The page Try it: one question about one clip to a model, and its answer against the reference."""
