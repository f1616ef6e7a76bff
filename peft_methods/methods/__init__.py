"""Fine-tuning methods: one method, one file."""
