"""Backlog at night: when a night is due, which issues it looks at, and what their texts lack."""
