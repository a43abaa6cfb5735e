"""Money: what runs have cost, and the budgets that bound it."""
