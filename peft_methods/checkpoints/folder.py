"""The folder of one adapter in the layout of Hugging Face PEFT: `adapter_config.json` and `adapter_model.safetensors`.

Nothing that is loaded is executed: pickles are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from crossbar_sim.runtime.files import write_bytes, write_text
from crossbar_sim.spec.documents import check_safetensors_file, read_json
from crossbar_sim.spec.errors import SpecError
from peft_methods.errors import CheckpointError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"
PREFIX = "base_model.model."
BASE_CHANGING_INITIALISATIONS = ("pissa", "olora", "corda", "lora_ga")


def common_config(base_model_name: str, modules: list[str]) -> dict[str, Any]:
    """What adapters of linear layers have in common in `adapter_config.json`."""
    return {
        "base_model_name_or_path": base_model_name,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "layers_pattern": None,
        "layers_to_transform": None,
        "modules_to_save": None,
        "revision": None,
        "target_modules": modules,
        "task_type": None,
    }


def write_adapter(folder: str | Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write an adapter's tensors and then its configuration, each under a temporary name first."""
    # A clone per tensor: the format refuses tensors that share memory.
    folder = Path(folder)
    contiguous = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    write_bytes(folder / WEIGHTS_FILE, save(contiguous, {"format": "pt"}))
    write_text(folder / CONFIG_FILE, json.dumps(config, indent=2, sort_keys=True) + "\n")


def read_config(folder: Path, wanted: str) -> dict[str, Any]:
    """`adapter_config.json`, if its `peft_type` is the wanted one; else CheckpointError."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path} does not exist; give the folder of one adapter, saved with save_pretrained or save_lora"
        )
    try:
        config = read_json(path)
    except SpecError as error:
        raise CheckpointError(f"{error}; save the adapter again") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is not a JSON object; save the adapter again")
    peft_type = config.get("peft_type")
    if peft_type != wanted:
        meant = "'LORA' (with or without DoRA)" if wanted == "LORA" else repr(wanted)
        raise CheckpointError(
            f"{path}: peft_type is {peft_type!r}, only {meant} can be loaded here; convert the adapter to "
            f"{'LoRA' if wanted == 'LORA' else wanted} first"
        )
    initialisation = str(config.get("init_lora_weights", True)).lower()
    if initialisation.startswith(BASE_CHANGING_INITIALISATIONS):
        raise CheckpointError(
            f"{path}: init_lora_weights {initialisation!r} also changed the base weights; convert the adapter with "
            "save_pretrained(path_initial_model_for_weight_conversion=...)"
        )
    for key in ("layer_replication", "use_qalora"):
        if config.get(key):
            raise CheckpointError(f"{path}: {key} is set and changes what B A means; train the adapter without it")
    return config


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter folder; pickles are refused."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        if (folder / PICKLE_FILE).is_file():
            raise CheckpointError(
                f"{folder / PICKLE_FILE} is a pickle, which can run code when it is loaded; convert it with "
                "save_pretrained(..., safe_serialization=True)"
            )
        raise CheckpointError(f"{path} does not exist; copy it beside {CONFIG_FILE}")
    try:
        check_safetensors_file(path)
        return load_file(path)
    except (SafetensorError, SpecError, OSError, MemoryError) as error:
        raise CheckpointError(
            f"{path} is truncated or not a safetensors file ({error}); copy or save it again"
        ) from None
