"""The App under test and what reaches it from GitHub."""
