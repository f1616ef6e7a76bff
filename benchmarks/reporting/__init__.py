"""Reports, tables and datasheets."""
