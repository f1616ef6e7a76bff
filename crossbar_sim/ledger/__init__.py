"""The ledger, and what programming and reading cost."""
