"""Alert rules and where alerts go."""
