"""What a run asks people, and how it waits for them."""
