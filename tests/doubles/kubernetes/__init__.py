"""A stand-in for a cluster: an API server whose pods are containers of the machine's engine."""
