"""Update rules: how the updates of trained tensors reach their cells."""
