"""Notifications: what people are told of runs, besides on GitHub."""
