"""Methods from papers, each with the standing of an outsider's: they use only what `benchmark` makes public."""
