"""Commits of a repository as places to run things, apart from the attempts of a run."""
