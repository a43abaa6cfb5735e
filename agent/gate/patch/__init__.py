"""A patch as text: parsed, applied to the base, and each changed file with both its texts."""
