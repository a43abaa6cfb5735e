"""A run from queue to pull request: the durable workflow and its steps."""
