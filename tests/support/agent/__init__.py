"""The loop, its tools and its issues for tests."""
