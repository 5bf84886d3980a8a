"""Defenses, one paper a file."""
