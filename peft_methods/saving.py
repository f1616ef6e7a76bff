"""Any adapter on disk, whatever its method: the method's settings and its trained values under the model's names.

One adapter is one folder with ``crossbar_adapter.json`` and ``crossbar_adapter.safetensors``. For methods that Hugging
Face PEFT knows, `save_lora`, `save_vera` and `save_prompts` write its layout instead; these two files never pretend to
be an adapter of PEFT.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from crossbar_sim import Chip
from crossbar_sim.spec.spec import nearest
from peft_methods.base import Adapter, Method
from peft_methods.checkpoints.pool import Pool
from peft_methods.errors import CheckpointError

FACTS_FILE = "crossbar_adapter.json"
VALUES_FILE = "crossbar_adapter.safetensors"
FORMAT = 1


def save_native(
    folder: Path, adapter: Adapter, base_model_name: str, *, seed: int = 0, pool: Pool | None = None
) -> None:
    """Write an adapter's method, settings and trained values into `folder`.

    seed: what `attach` was given, from which frozen random tensors (LoRA-FA, VeRA) are drawn again; pool: the pool of
    LoRAFusion and LoRAHub, of which only the digest is kept. CheckpointError if it is missing.
    """
    name = method_key(adapter.method)
    if adapter.method.needs_pool and pool is None:
        raise CheckpointError(f"{adapter.method.label} mixes a pool: give save_native the pool, its digest is kept")
    facts = {
        "format": FORMAT,
        "method": {"name": name, **adapter.method.model_dump(mode="json")},
        "base_model_name": base_model_name,
        "seed": seed,
        "pool_digest": None if pool is None else pool.digest(),
        "frozen_digest": frozen_digest(adapter),
    }
    values = {key: value.detach().cpu().contiguous().clone() for key, value in adapter.trained_by_name().items()}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{os.getpid()}.tmp"
    try:
        temporary.write_bytes(save(values, {"format": "pt"}))
        os.replace(temporary, folder / VALUES_FILE)
        temporary.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(temporary, folder / FACTS_FILE)
    finally:
        temporary.unlink(missing_ok=True)


def load_native(folder: Path, model: nn.Module, chip: Chip | None = None, pool: Pool | None = None) -> Adapter:
    """Attach the method of `folder` to `model` and give it the values that were saved; ready to infer or train on.

    Programming is billed as in `attach`. CheckpointError if the file is damaged, of another model or of another pool.
    """
    facts, values = _read(folder)
    method = _method(folder, facts.get("method"))
    if method.needs_pool and (pool is None or pool.digest() != facts.get("pool_digest")):
        given = "no pool was given" if pool is None else "this pool has another digest"
        raise CheckpointError(f"{folder}: saved with a pool, and {given}; give the pool that it was trained with")
    adapter = method.attach(model, chip, pool, int(facts.get("seed", 0)))
    wanted = adapter.trained_by_name()
    problem = _difference(wanted, values)
    if problem is None and facts.get("frozen_digest") != frozen_digest(adapter):
        problem = "the frozen random tensors came out differently; save it again with the seed that attach was given"
    if problem is not None:
        adapter.detach()
        raise CheckpointError(f"{folder}: {problem}")
    adapter.load(values)
    adapter.finish()
    return adapter


def method_key(method: Method) -> str:
    """The key of a method in METHODS."""
    from peft_methods import METHODS

    for name, kind in METHODS.items():
        if type(method) is kind:
            return name
    raise CheckpointError(f"{type(method).__name__} is not registered in peft_methods.METHODS; register it first")


def frozen_digest(adapter: Adapter) -> str:
    """SHA-256 over the matrices that an adapter without a pool adds and does not train."""
    total, trained = hashlib.sha256(), set(map(id, adapter.trained_parameters()))
    for matrix, _ in adapter.placed:
        if id(matrix.master) not in trained and not adapter.method.needs_pool:
            total.update(matrix.master.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = folder / FACTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the folder of one adapter, saved with save_native")
    try:
        facts, values = json.loads(path.read_text(encoding="utf-8")), load_file(folder / VALUES_FILE)
    except (ValueError, OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is not a whole adapter ({error}); save it again") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise CheckpointError(f"{path}: only format {FORMAT} can be read here; save the adapter again")
    return facts, values


def _method(folder: Path, table: object) -> Method:
    from peft_methods import METHODS

    if not isinstance(table, dict) or table.get("name") not in METHODS:
        name = table.get("name") if isinstance(table, dict) else table
        raise CheckpointError(f"{folder}: no method '{name}'{nearest(str(name), list(METHODS))}")
    return METHODS[table["name"]](**{key: value for key, value in table.items() if key != "name"})


def _difference(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """What the first tensor is that does not fit, if any."""
    for name in sorted(set(wanted) ^ set(found)):
        where = "the model trains and the file lacks" if name in wanted else "the file has and the model does not train"
        return f"{name!r} is a tensor that {where}; attach it to the backbone it was saved from"
    for name, value in wanted.items():
        if value.shape != found[name].shape:
            return f"{name!r} has shape {tuple(found[name].shape)}, the model needs {tuple(value.shape)}"
        if not bool(torch.isfinite(found[name]).all()):
            return f"{name!r} holds NaN or infinite values; train it again with a lower learning rate"
    return None
