"""Postern's Hydra plugins."""
