"""LoRA adapters on disk, in the layout of Hugging Face PEFT.

One adapter is one folder with ``adapter_config.json`` and ``adapter_model.safetensors``.  The
tensor of module ``blocks.0.attention.query`` is called
``base_model.model.blocks.0.attention.query.lora_A.weight`` (rank, d_in), ``...lora_B.weight``
(d_out, rank) and, for DoRA, ``...lora_magnitude_vector`` (d_out,). Nothing that is loaded is
executed: pickles are refused.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from crossbar_sim import CrossbarError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"
PREFIX = "base_model.model."
SUFFIX_A = ".lora_A.weight"
SUFFIX_B = ".lora_B.weight"
SUFFIX_MAGNITUDE = ".lora_magnitude_vector"
PEFT_DEFAULT_RANK = 8
PEFT_DEFAULT_ALPHA = 8
BASE_CHANGING_INITIALISATIONS = ("pissa", "olora", "corda", "lora_ga")


class CheckpointError(CrossbarError, ValueError):
    """An adapter cannot be read, written or trusted; the message says what to do."""


@dataclass(frozen=True, eq=False)
class LoRAWeights:
    """One LoRA adapter: W -> W + scaling B A for each named module.

    ``a[module]`` is (rank, d_in), ``b[module]`` is (d_out, rank), both floating point and finite;
    ``scaling`` = alpha / rank.  ``magnitude[module]`` (d_out,) is DoRA's row norm, ``None`` for
    LoRA. ``CheckpointError`` if these do not fit together.
    """

    name: str
    rank: int
    alpha: float
    a: Mapping[str, Tensor]
    b: Mapping[str, Tensor]
    magnitude: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise self._error(f"rank is {self.rank}; choose an integer of at least 1")
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise self._error(f"alpha is {self.alpha}; choose a positive finite number")
        if not self.a and not self.b:
            raise self._error("it targets no module; give A and B for at least one linear layer")
        self._check_same_modules("A", self.a, "B", self.b)
        if self.magnitude is not None:
            self._check_same_modules("A", self.a, "magnitude", self.magnitude)
        for module, a in self.a.items():
            self._check_shape("A", module, a, (self.rank, None))
            self._check_shape("B", module, self.b[module], (None, self.rank))
            if self.magnitude is not None:
                rows = self.b[module].shape[0]
                self._check_shape("magnitude", module, self.magnitude[module], (rows,))

    @property
    def scaling(self) -> float:
        """alpha / rank, the factor in front of B A."""
        return self.alpha / self.rank

    def weight_change(self, module: str) -> Tensor:
        """scaling B A of ``module``, shape (d_out, d_in)."""
        return self.scaling * (self.b[module] @ self.a[module])

    def _error(self, sentence: str) -> CheckpointError:
        return CheckpointError(f"adapter {self.name!r}: {sentence}.")

    def _check_same_modules(
        self, first: str, left: Mapping[str, Tensor], second: str, right: Mapping[str, Tensor]
    ) -> None:
        for module in sorted(set(left) ^ set(right)):
            has, lacks = (first, second) if module in left else (second, first)
            raise self._error(f"module {module!r} has {has} but no {lacks}; the file is incomplete, save it again")

    def _check_shape(self, factor: str, module: str, tensor: Tensor, wanted: tuple[int | None, ...]) -> None:
        shape = tuple(tensor.shape)
        fits = len(shape) == len(wanted) and all(
            length > 0 if want is None else length == want for length, want in zip(shape, wanted, strict=True)
        )
        if not fits:
            names = ["any" if want is None else str(want) for want in wanted]
            raise self._error(
                f"{factor} of module {module!r} has shape {shape}, expected ({', '.join(names)}) "
                f"at rank {self.rank}; only linear layers of one rank are supported, correct the "
                "rank or the file"
            )
        if not tensor.is_floating_point():
            raise self._error(
                f"{factor} of module {module!r} holds {tensor.dtype}; convert it to a floating-point type"
            )
        if tensor.device.type != "meta" and not bool(torch.isfinite(tensor).all()):
            raise self._error(
                f"{factor} of module {module!r} holds NaN or infinite values; the training "
                "diverged, train it again with a lower learning rate"
            )


def save_lora(folder: Path, weights: LoRAWeights, base_model_name: str) -> None:
    """Write ``weights`` into ``folder`` so that PEFT and :func:`load_lora` can read them.

    Each file is written under a temporary name in the same folder and then renamed; the
    configuration comes last, so a new folder that has one is complete.  The adapter's name is the
    folder's name.
    """
    tensors: dict[str, Tensor] = {}
    for module in weights.a:
        tensors[PREFIX + module + SUFFIX_A] = weights.a[module]
        tensors[PREFIX + module + SUFFIX_B] = weights.b[module]
        if weights.magnitude is not None:
            tensors[PREFIX + module + SUFFIX_MAGNITUDE] = weights.magnitude[module]
    alpha = int(weights.alpha) if float(weights.alpha).is_integer() else weights.alpha
    write_adapter(
        folder,
        tensors,
        {
            **common_config(base_model_name, sorted(weights.a)),
            "alpha_pattern": {},
            "init_lora_weights": True,
            "lora_alpha": alpha,
            "lora_dropout": 0.0,
            "peft_type": "LORA",
            "r": weights.rank,
            "rank_pattern": {},
            "use_dora": weights.magnitude is not None,
            "use_rslora": False,
        },
    )


def common_config(base_model_name: str, modules: list[str]) -> dict[str, Any]:
    """What adapters of linear layers have in common in ``adapter_config.json``."""
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


def write_adapter(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write an adapter's tensors and then its configuration, each under a temporary name first."""
    # A clone per tensor: the format refuses tensors that share memory.
    contiguous = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{os.getpid()}.tmp"
    try:
        temporary.write_bytes(save(contiguous, {"format": "pt"}))
        os.replace(temporary, folder / WEIGHTS_FILE)
        temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(temporary, folder / CONFIG_FILE)
    finally:
        temporary.unlink(missing_ok=True)


def load_lora(folder: Path) -> LoRAWeights:
    """Read the LoRA or DoRA adapter in ``folder``; ``CheckpointError`` where it cannot be faithful.

    Half-precision tensors become float32.  ``use_rslora`` (scaling alpha / sqrt(rank)) is folded
    into ``alpha``.  Modules with a rank or alpha of their own (``rank_pattern``,
    ``alpha_pattern``) are zero-padded to the largest rank and their ratio of scalings is folded
    into B; both are exact. Configuration keys that do not change the mathematics of a linear layer
    are ignored.
    """
    config = read_config(folder, "LORA")
    a, b, magnitude = _group(folder, read_tensors(folder))
    if not a and not b:
        raise CheckpointError(f"{folder}: the file holds no LoRA factor; save the adapter again.")
    if bool(config.get("use_dora")) != bool(magnitude):
        raise CheckpointError(
            f"{folder}: use_dora is {bool(config.get('use_dora'))} but the file holds "
            f"{len(magnitude)} magnitude vectors; correct use_dora or save the adapter again."
        )
    rank = _positive_integer(folder, "r", config.get("r", PEFT_DEFAULT_RANK))
    alpha = _positive_number(folder, "lora_alpha", config.get("lora_alpha", PEFT_DEFAULT_ALPHA))
    rslora = bool(config.get("use_rslora"))
    common = alpha / math.sqrt(rank) if rslora else alpha / rank
    ranks: dict[str, int] = {}
    for module in sorted(set(a) & set(b)):
        own_rank = _positive_integer(
            folder, "rank_pattern", _from_pattern(folder, config, "rank_pattern", module, rank)
        )
        own_alpha = _positive_number(
            folder, "alpha_pattern", _from_pattern(folder, config, "alpha_pattern", module, alpha)
        )
        own = own_alpha / math.sqrt(own_rank) if rslora else own_alpha / own_rank
        if a[module].dim() != 2 or b[module].dim() != 2:
            raise CheckpointError(
                f"{folder}: module {module!r} has A {tuple(a[module].shape)} and B "
                f"{tuple(b[module].shape)}; only linear layers are supported, leave convolutions "
                "and embeddings out of target_modules."
            )
        if a[module].shape[0] != own_rank or b[module].shape[-1] != own_rank:
            raise CheckpointError(
                f"{folder}: module {module!r} has A {tuple(a[module].shape)} and B "
                f"{tuple(b[module].shape)}, but the configuration gives it rank {own_rank}; set r "
                "or rank_pattern to the rank of the tensors."
            )
        ranks[module] = own_rank
        if own != common:
            b[module] = b[module] * (own / common)
    largest = max(ranks.values(), default=rank)
    for module in ranks:
        a[module], b[module] = pad_rank(a[module], b[module], largest)
    # Without anything to fold alpha stays as written: a saved adapter comes back bit for bit.
    folded_alpha = alpha if largest == rank and not rslora else common * largest
    return LoRAWeights(folder.resolve().name, largest, folded_alpha, a, b, magnitude or None)


def pad_rank(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Pad A (r, d_in) by zero rows and B (d_out, r) by zero columns; B A is unchanged."""
    missing = rank - a.shape[0]
    if missing == 0:
        return a, b
    return (
        torch.cat([a, a.new_zeros(missing, a.shape[1])], dim=0),
        torch.cat([b, b.new_zeros(b.shape[0], missing)], dim=1),
    )


def read_config(folder: Path, wanted: str) -> dict[str, Any]:
    """``adapter_config.json``, if its ``peft_type`` is the wanted one; else ``CheckpointError``."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path} does not exist; give the folder of one adapter, saved with save_pretrained or save_lora."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}); save the adapter again.") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is not a JSON object; save the adapter again.")
    peft_type = config.get("peft_type")
    if peft_type != wanted:
        meant = "'LORA' (with or without DoRA)" if wanted == "LORA" else repr(wanted)
        raise CheckpointError(
            f"{path}: peft_type is {peft_type!r}, only {meant} can be "
            f"loaded here; convert the adapter to {'LoRA' if wanted == 'LORA' else wanted} first."
        )
    initialisation = str(config.get("init_lora_weights", True)).lower()
    if initialisation.startswith(BASE_CHANGING_INITIALISATIONS):
        raise CheckpointError(
            f"{path}: init_lora_weights {initialisation!r} also changed the base weights; convert "
            "the adapter with save_pretrained(path_initial_model_for_weight_conversion=...)."
        )
    for key in ("layer_replication", "use_qalora"):
        if config.get(key):
            raise CheckpointError(f"{path}: {key} is set and changes what B A means; train the adapter without it.")
    return config


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter folder; pickles are refused."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        if (folder / PICKLE_FILE).is_file():
            raise CheckpointError(
                f"{folder / PICKLE_FILE} is a pickle, which can run code when it is loaded; "
                "convert it with save_pretrained(..., safe_serialization=True)."
            )
        raise CheckpointError(f"{path} does not exist; copy it beside {CONFIG_FILE}.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is truncated or not a safetensors file ({error}); copy or save it again."
        ) from error


def _group(
    folder: Path, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Sort tensors into A, B and magnitude by module; refuse any key that is none of these."""
    groups: dict[str, dict[str, Tensor]] = {SUFFIX_A: {}, SUFFIX_B: {}, SUFFIX_MAGNITUDE: {}}
    for key in sorted(tensors):
        suffix = next((suffix for suffix in groups if key.endswith(suffix)), None)
        if suffix is None or not key.startswith(PREFIX):
            raise CheckpointError(
                f"{folder}: tensor {key!r} is not a LoRA factor of a linear layer; save the "
                "adapter with bias='none', no modules_to_save and no embeddings among its "
                "targets."
            )
        tensor = tensors[key]
        if tensor.is_floating_point() and tensor.dtype != torch.float64:
            tensor = tensor.to(torch.float32)
        groups[suffix][key.removeprefix(PREFIX).removesuffix(suffix)] = tensor
    return groups[SUFFIX_A], groups[SUFFIX_B], groups[SUFFIX_MAGNITUDE]


def _from_pattern(folder: Path, config: Mapping[str, Any], key: str, module: str, default: object) -> object:
    """The value of the first pattern that matches the end of ``module``, as PEFT resolves it."""
    patterns = config.get(key) or {}
    if not isinstance(patterns, dict):
        raise CheckpointError(f"{folder}: {key} is not an object of pattern: value; correct it.")
    for pattern, value in patterns.items():
        try:
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        except re.error as error:
            raise CheckpointError(
                f"{folder}: {key} has the pattern {pattern!r}, which is no regular expression ({error}); correct it."
            ) from error
    return default


def _positive_integer(folder: Path, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(
            f"{folder}: {key} is {value!r}; a rank is an integer of at least 1, correct {CONFIG_FILE}."
        )
    return value


def _positive_number(folder: Path, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise CheckpointError(
            f"{folder}: {key} is {value!r}; alpha is a positive finite number, correct {CONFIG_FILE}."
        )
    return float(value)
