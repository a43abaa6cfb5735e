"""What the rules of branches refuse: pushes, and merges."""
