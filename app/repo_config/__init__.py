"""`.github/patchwright.yml`: its schema, its parser, and what is in effect for a run."""
