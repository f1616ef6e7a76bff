"""Trained values of every method on the models of its paper, and the shares of the model that were printed."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from benchmarks.estimates.counted import Counted, Workload
from benchmarks.estimates.estimate import attach_shape, make_method
from benchmarks.estimates.methods import method_records
from benchmarks.estimates.models import find_shape
from crossbar_sim import CrossbarError, Hardware
from peft_methods import METHODS

HARDWARE = Hardware.load("milo2021_128x128")


@cache
def counts(model: str, method: str, **settings: Any) -> Counted:
    """Attached, but not run."""
    shape = find_shape(model)
    return attach_shape(shape, make_method(shape, method, settings), HARDWARE, Workload(calibration=0))


PARAMETERS = {  # of the whole model, embeddings included
    "vit-b-16": 85_798_656,
    "bert-large": 333_579_264,
    "roberta-base": 124_645_632,
    "roberta-large": 355_359_744,
    "llama-7b": 6_738_415_616,
}

COUNTS = [
    ("flan-t5-large", "vera", {}, 165_888, None),
    ("flan-t5-large", "dora", {}, 4_866_048, None),
    ("flan-t5-large", "lora-fa", {}, 2_359_296, None),
    ("flan-t5-large", "lorahub", {}, 20, None),
    ("vit-b-16", "bitfit", {}, 82_944, "0.097"),
    ("vit-b-16", "lora", {}, 147_456, "0.172"),
    ("vit-b-16", "wegeft", {}, 24_576, "0.029"),
    ("vit-b-16", "vpt", {"prompts": 5}, 46_080, "0.054"),
    ("vit-b-16", "vpt", {"prompts": 10}, 92_160, None),
    ("vit-b-16", "vpt", {"prompts": 50}, 460_800, "0.54"),
    ("vit-b-16", "vpt", {"prompts": 50, "deep": False}, 38_400, None),
    ("bert-large", "pasta", {"positions": (0, -1)}, 49_152, "0.0147"),
    ("bert-large", "pasta", {"positions": (0, 9, -1)}, 73_728, "0.0221"),
    ("bert-large", "pasta", {}, 24_576, "0.0074"),
    ("roberta-large", "pasta", {"positions": (0, 9, 10, -1)}, 98_304, "0.0277"),
    ("roberta-base", "vera", {}, 43_008, None),
    ("roberta-large", "vera", {}, 61_440, "0.017"),
    ("roberta-base", "wegeft", {}, 98_304, "0.079"),
    ("roberta-large", "wegeft", {}, 131_072, "0.037"),
    ("llama-7b", "wegeft", {}, 1_048_576, "0.0156"),
]


@pytest.mark.parametrize(("model", "method", "settings", "trained", "percent"), COUNTS)
def test_counts(model: str, method: str, settings: dict[str, Any], trained: int, percent: str | None) -> None:
    """I13 and I8."""
    assert counts(model, method, **settings).trained_values == trained
    if percent is not None:
        digits = len(percent.partition(".")[2])
        assert f"{100 * trained / PARAMETERS[model]:.{digits}f}" == percent


@pytest.mark.parametrize(
    ("model", "method", "trained", "percent"),
    [("llama-7b", "lora", 56_098_816, "0.826"), ("roberta-base", "vera", 43_008, "0.034")],
)
def test_shares_of_model_and_adapter_together(model: str, method: str, trained: int, percent: str) -> None:
    """I13."""
    assert counts(model, method).trained_values == trained
    assert f"{100 * trained / (PARAMETERS[model] + trained):.3f}" == percent


@pytest.mark.parametrize(
    ("model", "positions", "classes", "pooler", "percent"),
    [
        ("bert-large", (0, -1), 2, True, "0.0153"),
        ("bert-large", (0, 9, -1), 3, True, "0.0230"),
        ("bert-large", (0, -1), 9, False, "0.0176"),  # token classification has no pooler
        ("roberta-large", (0, 9, 10, -1), 3, True, "0.0285"),
    ],
)
def test_shares_of_pasta_with_its_output_layer(
    model: str, positions: tuple[int, ...], classes: int, pooler: bool, percent: str
) -> None:
    vectors = counts(model, "pasta", positions=positions).trained_values
    whole = PARAMETERS[model] - (0 if pooler else 1024 * 1024 + 1024)
    assert f"{100 * (vectors + classes * (1024 + 1)) / whole:.4f}" == percent


def test_shares_of_lorafusion() -> None:
    """I13: 3.145 % of LoRA's values, of which 0.65 % are coefficients; the pool adds 13.2 % to the linear weights and
    62.5 % to its layers, and costs as many cell writes as 20 steps of LoRA that move every weight."""
    lora, fused = (counts("flan-t5-large", name) for name in ("lora", "lorafusion"))
    values, coefficients, pool = fused.trained_values, 20 * 48, fused.pool_cells // 2
    assert (lora.trained_values, values, pool) == (4_718_592, 148_416, 94_371_840)
    assert f"{100 * values / lora.trained_values:.3f}" == "3.145" and values - coefficients == 144 * 1024
    assert (
        f"{100 * coefficients / values:.2f}" == "0.65" and f"{100 * coefficients / lora.trained_values:.2f}" == "0.02"
    )
    assert f"{100 * pool / fused.backbone_weights:.1f}" == "13.2" and pool / 144 / 1024**2 == 0.625
    assert fused.pool_cells == 20 * lora.trained_cells and fused.trained_cells == 0


def test_wegeft_does_not_grow_with_depth_and_equals_lora_per_layer() -> None:
    own = counts("vit-b-16", "wegeft", shared=False, rank=8).trained_values
    assert own == counts("vit-b-16", "lora").trained_values == 12 * 2 * 8 * 768
    assert counts("vit-b-16", "wegeft", rank=8).trained_values == own // 12


@pytest.mark.parametrize("model", ["flan-t5-large", "vit-b-16", "digits-vit"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_counted_on_every_model_or_refused_in_a_sentence(model: str, method: str) -> None:
    try:
        record = counts(model, method)
    except CrossbarError as error:
        assert method in ("linear-probe", "bitfit", "vpt", "pasta") and model != "digits-vit"
        assert "\n" not in str(error)
    else:
        assert (record.trained_values > 0) == (method != "frozen")


def test_shared_matrices_of_vera_are_programmed_once_for_all_layers() -> None:
    record = counts("flan-t5-large", "vera")
    assert record.pool_cells == 2 * 128 * (1024 + 1024) and record.trained_cells == 0


def test_method_records_say_what_the_classes_say() -> None:
    records = method_records()
    assert {row.method for row in records} == set(METHODS)
    for row in records:
        kind = METHODS[row.method]
        assert (row.trained_values > 0) == (row.method != "frozen") and row.transposed_reads == kind.transposed_reads
        on_tiles = row.placement == "crossbar" or row.method == "full-fine-tuning"
        assert (row.cells_written_per_step > 0) == (kind.writes_cells and on_tiles)
