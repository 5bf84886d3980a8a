"""Model wrappers and the networks they wrap."""
