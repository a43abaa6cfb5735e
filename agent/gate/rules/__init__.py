"""Rules that a patch and its reproduction must keep, each a function over the parsed patch."""
