"""The proxy that is a set-up's only way out."""
