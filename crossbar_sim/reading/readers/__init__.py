"""Ways to compute a read, one strategy per file."""
