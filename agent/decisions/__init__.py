"""What the loop decides, as pure functions: budgets, repetition, what leaves the context."""
