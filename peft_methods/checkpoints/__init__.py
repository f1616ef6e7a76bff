"""Adapters and pools as files, in the formats of other libraries."""
