"""What programming and reading cost: cost functions, circuits, whole chips, the ledger."""
