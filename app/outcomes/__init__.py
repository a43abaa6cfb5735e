"""What became of pull requests: merged as proven, merged with edits, closed, reverted later."""
