"""Small repositories with real git histories: features, then bug fixes that come with tests."""
