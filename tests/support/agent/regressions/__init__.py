"""Small projects with a history in which one commit broke something, and an issue about it."""
