"""The tools that a model may call; one file a family, the table of them in `registry`."""
