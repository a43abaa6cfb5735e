"""A run's journal as people read it: entries, cards, a summary."""
