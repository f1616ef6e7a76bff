"""The same bill by counting, for models too large to simulate."""
