"""Prompts are data: the files beside this one."""
