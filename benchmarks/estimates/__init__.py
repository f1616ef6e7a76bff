"""The bill by counting: any model, any size."""
