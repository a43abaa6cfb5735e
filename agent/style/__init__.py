"""How a project wants its code written: which programs look at that, and what they complain of."""
