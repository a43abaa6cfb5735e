"""`patchwright check`: whether a repository is ready, and what would make it so."""
