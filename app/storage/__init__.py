"""Runs and journals in SQLite or PostgreSQL."""
