"""Which versions of toolchains a repository asks for, and which can be had."""
