"""Hostile text made safe to render, and secrets found in it."""
