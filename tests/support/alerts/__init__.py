"""Deliveries of alerts, and a repository in which they happened."""
