"""Random faults against the whole of it: `python -m tests.fault --help`."""
