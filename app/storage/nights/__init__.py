"""Schedules of repositories, their nights, and what nights found of issues."""
