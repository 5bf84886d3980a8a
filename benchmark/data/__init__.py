"""Where rows come from: one source a file, decoded once into the store."""
