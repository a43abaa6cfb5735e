"""The gate: an independent judge of patches, in fresh sandboxes."""
