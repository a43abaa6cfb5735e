"""Which environment a repository's code and tests run in, read off its files."""
