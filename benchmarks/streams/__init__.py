"""Streams: many tasks, one after the other, on one chip that lives through all of them."""
