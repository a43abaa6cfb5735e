"""Evaluation: instances in SWE-bench's format, hidden tests, results and what they say."""
