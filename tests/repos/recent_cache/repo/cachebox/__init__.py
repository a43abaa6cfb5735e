"""Small caches."""
