"""Evidence about what a patched program does: examples, similar inputs, strength."""
