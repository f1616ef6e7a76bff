"""The on-chip fine-tuning loop and what it bills."""
