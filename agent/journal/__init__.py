"""The append-only journal: its events, the state folded from them, its writer and store."""
