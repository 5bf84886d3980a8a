"""Attacks, one paper a file."""
