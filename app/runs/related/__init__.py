"""Who else is at an issue, and what was tried: found before work begins."""
