"""The end of a first round: the patch becomes a pull request, or reaches people in another way."""
