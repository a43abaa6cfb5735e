"""A cluster of model servers in virtual time, and the runs on it."""
