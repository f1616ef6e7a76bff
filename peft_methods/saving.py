"""Any adapter on disk, whatever its method: the method's settings and its trained values under the model's names.

One adapter is one folder with `crossbar_adapter.json` and `crossbar_adapter.safetensors`. For methods that Hugging
Face PEFT knows, `save_lora`, `save_vera` and `save_prompts` write its layout instead; these two files never pretend to
be an adapter of PEFT.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from crossbar_sim import CrossbarError, SpecError
from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.runtime.files import write_bytes, write_text
from crossbar_sim.spec.documents import check_safetensors_file, read_json
from peft_methods.attaching import chip_for
from peft_methods.base import Adapter, Method
from peft_methods.errors import CheckpointError
from peft_methods.methods import read_method
from peft_methods.methods.pooled import PoolMethod
from peft_methods.model_parts import difference

FACTS_FILE = "crossbar_adapter.json"
VALUES_FILE = "crossbar_adapter.safetensors"
FORMAT = 1


def save_native(folder: str | Path, adapter: Adapter, base_model_name: str, *, seed: int = 0) -> None:
    """Write an adapter's method, settings and trained values into `folder`; of a pool only the digest.

    seed: what `attach` was given, from which frozen random tensors (LoRA-FA, VeRA) are drawn again.
    """
    facts = {
        "format": FORMAT,
        "method": adapter.method.table(),
        "base_model_name": base_model_name,
        "seed": seed,
        "pool_digest": adapter.method.find_pool().digest() if isinstance(adapter.method, PoolMethod) else None,
        "frozen_digest": frozen_digest(adapter),
    }
    values = {key: value.detach().cpu().contiguous().clone() for key, value in adapter.trained_by_name().items()}
    folder = Path(folder)
    write_bytes(folder / VALUES_FILE, save(values, {"format": "pt"}))
    write_text(folder / FACTS_FILE, json.dumps(facts, indent=2, sort_keys=True) + "\n")


def load_native(
    folder: str | Path, model: nn.Module, chip: AnyChip | None = None, method: Method | None = None
) -> Adapter:
    """Attach the method of `folder` to `model` and give it the values that were saved; ready to infer or train on.

    chip: as in `attach`. method: the saved one with its pool, where the pool was an object, which a file does not hold.
    Programming is billed as in `attach`. CheckpointError if the file is damaged, of another model, of another method
    or of another pool; model, chip and ledger are then as they were.
    """
    folder = Path(folder)
    facts, values = _read(folder)
    method = _with_its_pool(folder, _method(folder, facts.get("method")), method, facts.get("pool_digest"))
    chip = chip_for(model, chip)
    with chip.all_or_nothing():
        adapter = method.attach(model, chip, int(facts.get("seed", 0)))
        problem = difference(adapter.trained_by_name(), values)
        if problem is None and facts.get("frozen_digest") != frozen_digest(adapter):
            problem = (
                "the frozen random tensors came out differently; save it again with the seed that attach was given"
            )
        if problem is not None:
            adapter.detach()
            raise CheckpointError(f"{folder}: {problem}")
    adapter.load(values)
    adapter.finish()
    return adapter


def _with_its_pool(folder: Path, saved: Method, given: Method | None, digest: object) -> Method:
    """The saved method with the pool that it was trained with; CheckpointError if that pool is not there."""
    method = saved if given is None else given
    if _without_pool(method) != _without_pool(saved):
        raise CheckpointError(f"{folder}: saved with other settings than the method that was given; leave it out")
    if not isinstance(method, PoolMethod):
        return method
    try:
        found = method.find_pool().digest()
    except CrossbarError as error:
        raise CheckpointError(
            f"{folder}: saved with a pool, and no pool was given ({error}); give load_native the method with its pool"
        ) from error
    if found != digest:
        raise CheckpointError(
            f"{folder}: saved with a pool, and this pool has another digest; give the pool that it was trained with"
        )
    return method


def _without_pool(method: Method) -> dict[str, Any]:
    return {key: value for key, value in method.table().items() if key != "pool"}


def frozen_digest(adapter: Adapter) -> str:
    """SHA-256 over the matrices that an adapter without a pool adds and does not train."""
    total = hashlib.sha256()
    trained = set(map(id, adapter.trained_parameters()))
    mixes_pool = isinstance(adapter.method, PoolMethod)
    for matrix, _ in adapter.placed:
        if id(matrix.master) not in trained and not mixes_pool:
            total.update(matrix.master.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    path = folder / FACTS_FILE
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give the folder of one adapter, saved with save_native")
    try:
        facts = read_json(path)
        check_safetensors_file(folder / VALUES_FILE)
        values = load_file(folder / VALUES_FILE)
    except (SpecError, ValueError, OSError, SafetensorError, MemoryError) as error:
        raise CheckpointError(f"{folder} is not a whole adapter ({error}); save it again") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise CheckpointError(f"{path}: only format {FORMAT} can be read here; save the adapter again")
    return facts, values


def _method(folder: Path, table: object) -> Method:
    if not isinstance(table, dict):
        raise CheckpointError(f"{folder}: 'method' must be a table with a name, got {table!r}; save the adapter again")
    try:
        return read_method(table)
    except SpecError as error:
        raise CheckpointError(f"{folder}: {error}") from error
