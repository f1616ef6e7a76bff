"""Named questions with their tables."""
