"""Packages that add to what Patchwright knows."""
