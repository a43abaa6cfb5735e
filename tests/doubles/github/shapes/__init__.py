"""JSON as GitHub writes it."""
