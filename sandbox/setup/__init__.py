"""Set-up of a repository's dependencies, kept as images."""
