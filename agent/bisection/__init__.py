"""Which commit broke it: a search through the history with a reproduction that fails."""
