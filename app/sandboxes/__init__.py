"""Sandboxes and environments as the settings ask for them."""
