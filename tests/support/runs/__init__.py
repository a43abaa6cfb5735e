"""Runs for tests: a small world for them, stored, requeued and proven ones."""
