"""Sweeps: grids as chains of runs that share a victim, what a job does with one, and how far a sweep is."""
