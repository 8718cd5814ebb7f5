"""The page Data: records files before training, row by row, as the model will get them."""
