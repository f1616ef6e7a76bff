"""What a stated number is: specs, units, provenance, citations, errors."""
