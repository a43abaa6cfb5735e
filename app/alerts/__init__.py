"""Alerts of monitoring services: read, verified, led to a repository, and told in an issue."""
