"""Prompts of the first layer on disk, in the layout of Hugging Face PEFT (`peft_type` PROMPT_TUNING)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from peft_methods.checkpoints.folder import read_config, read_tensors, write_adapter
from peft_methods.errors import CheckpointError
from peft_methods.model_parts import LARGEST_TRAINED, largest_of

KEY = "prompt_embeddings"


def save_prompts(folder: str | Path, prompts: Tensor, base_model_name: str) -> None:
    """Write prompts (count, width); PEFT puts them in front of the sequence, VPT behind the class token."""
    count, width = prompts.shape
    write_adapter(
        folder,
        {KEY: prompts},
        {
            "base_model_name_or_path": base_model_name,
            "inference_mode": True,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": count,
            "peft_type": "PROMPT_TUNING",
            "prompt_tuning_init": "RANDOM",
            "revision": None,
            "task_type": None,
            "token_dim": width,
        },
    )


def load_prompts(folder: str | Path) -> Tensor:
    """Prompts (count, width) of one transformer; CheckpointError if the file holds anything else."""
    folder = Path(folder)
    config, tensors = read_config(folder, "PROMPT_TUNING"), read_tensors(folder)
    if set(tensors) != {KEY} or tensors[KEY].dim() != 2:
        raise CheckpointError(
            f"{folder}: expected one matrix called {KEY!r}, found {', '.join(sorted(tensors)) or 'nothing'}"
        )
    prompts = tensors[KEY].float()
    if not largest_of(prompts) <= LARGEST_TRAINED:
        raise CheckpointError(
            f"{folder}: prompts must be finite and at most {LARGEST_TRAINED:g} in size; train them again with a lower "
            "learning rate"
        )
    for key, expected in (("num_virtual_tokens", prompts.shape[0]), ("token_dim", prompts.shape[1])):
        if config.get(key, expected) != expected:
            raise CheckpointError(
                f"{folder}: {key} is {config[key]} but the tensor has {expected}; prompts of encoder-decoder models "
                "cannot be loaded, others save again"
            )
    return prompts
