"""GitHub's own description of its API, and the stand-in's traffic held against it."""
