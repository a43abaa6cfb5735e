"""Evaluations: instances from a folder or a history, run and reported."""
