"""How far one pulse moves a cell: one law, one file."""
