"""The commit that broke it, as evidence for the search: its hunks are undone before all else."""
