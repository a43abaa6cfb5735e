"""Attacks that hostile code would try on a sandbox, to be run against the real engine."""
