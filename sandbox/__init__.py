"""Sandboxes: places where code that nobody trusts may run."""
