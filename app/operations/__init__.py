"""What an operator does with stored runs: backup, retention, pruning, control, capacity."""
