"""The neural tangent kernel (NTK) view of fine-tuning."""
