"""The proof block: what a proof found, as a small JSON document that other programs can read."""
