"""How many GPU servers a team needs for its runs: formulas. Sources: docs/capacity.md."""
