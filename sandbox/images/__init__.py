"""The base image and its recipe."""
