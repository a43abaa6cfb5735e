"""Sandboxes and container engines for tests."""
