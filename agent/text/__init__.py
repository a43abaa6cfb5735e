"""Pure functions on text: truncation, surrogates, tracebacks, the model's control tokens."""
