"""`patchwright prove`: a change of a local repository is proven by its own tests."""
