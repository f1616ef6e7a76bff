"""The table of hardware consequences: what each method writes, programs, keeps and reads on models of its paper.

F: FLAN-T5-large with a pool of 20 modules of rank 16 on q and v; V: ViT-B/16; B: BERT-large. Two cells per weight.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from benchmarks.estimates.estimate import Counted, Workload, attach_shape, count_shape, make_method
from benchmarks.estimates.models import find_shape
from crossbar_sim import CrossbarError, Hardware
from crossbar_sim.ledger.ledger import Ledger

MODELS = {"F": "flan-t5-large", "V": "vit-b-16", "B": "bert-large"}
HARDWARE = Hardware.load("milo2021_128x128")
F, V = 717_225_984, 84_934_656

ROWS: list[tuple[str, str, str, dict[str, Any], dict[str, int]]] = [
    ("full fine-tuning", "F", "full-fine-tuning", {}, {"step": 2 * F, "pool": 0, "state": 12 * F}),  # 8.6 GB
    ("full fine-tuning", "V", "full-fine-tuning", {}, {"step": 2 * V, "pool": 0}),
    ("BitFit", "V", "bitfit", {}, {"step": 0, "pool": 0, "trained": 82_944, "state": 995_328}),
    ("adapters on tiles", "V", "adapters", {}, {"step": 2 * 2 * 768 * 8 * 12, "pool": 0}),
    (
        "adapters digital",
        "V",
        "adapters",
        {"placement": "sram"},
        {"step": 0, "pool": 0, "trained": (2 * 768 * 8 + 8 + 768) * 12},
    ),
    ("LoRA on tiles", "F", "lora", {}, {"step": 2 * 4_718_592, "pool": 0, "state": 56_623_104}),
    ("LoRA digital", "F", "lora", {"placement": "sram"}, {"step": 0, "pool": 0, "state": 56_623_104, "frozen": 0}),
    ("LoRA-FA", "F", "lora-fa", {}, {"step": 0, "pool": 2 * 2_359_296, "state": 28_311_552}),
    ("LoRA-FA, B on tiles", "F", "lora-fa", {"placement": "crossbar"}, {"step": 2 * 2_359_296}),
    ("DoRA", "F", "dora", {}, {"step": 2 * 4_718_592, "pool": 0, "trained": 4_718_592 + 147_456}),
    ("VeRA", "F", "vera", {}, {"step": 0, "pool": 2 * 262_144, "trained": 165_888, "state": 1_990_656}),
    ("VPT deep", "V", "vpt", {"prompts": 10}, {"step": 0, "pool": 0, "trained": 92_160, "state": 1_105_920}),
    ("VPT shallow", "V", "vpt", {"prompts": 10, "deep": False}, {"step": 0, "pool": 0, "trained": 7_680}),
    ("PASTA", "B", "pasta", {"positions": (0, 9, -1)}, {"step": 0, "pool": 0, "trained": 73_728, "state": 884_736}),
    ("WeGeFT input side", "V", "wegeft", {}, {"step": 0, "pool": 0, "trained": 24_576, "state": 294_912}),
    ("WeGeFT output side", "V", "wegeft", {"side": "output"}, {"step": 0, "pool": 0, "trained": 24_576}),
    ("LoRAHub", "F", "lorahub", {}, {"step": 0, "pool": 2 * 94_371_840, "trained": 20, "state": 80}),
    ("LoRAFusion", "F", "lorafusion", {}, {"step": 0, "pool": 2 * 94_371_840, "trained": 148_416, "state": 1_780_992}),
]


@pytest.mark.parametrize(
    ("row", "model", "method", "settings", "expected"), ROWS, ids=[f"{row[0]} ({row[1]})" for row in ROWS]
)
def test_cells_and_memory(
    row: str, model: str, method: str, settings: dict[str, Any], expected: dict[str, int]
) -> None:
    shape = find_shape(MODELS[model])
    counted = attach_shape(shape, make_method(shape, method, settings), HARDWARE, Workload(calibration=0))
    sram = counted.sram_bytes
    found = {
        "step": counted.trained_cells,
        "pool": counted.pool_cells,
        "trained": counted.adapter.trained_values,
        "state": sram["trained"],
        "frozen": sram["frozen"],
    }
    assert {key: found[key] for key in expected} == expected


def test_the_pool_of_lorafusion_against_the_model() -> None:
    pool, targets = 94_371_840, 144 * 1024**2
    assert round(100 * pool / F, 1) == 13.2 and round(100 * pool / targets, 1) == 62.5


def test_what_the_row_norms_of_lorafusion_keep_is_more_than_its_optimizer() -> None:
    """The table counts trained values only; the products behind ||W + dW||_row are kept too, and are larger."""
    shape = find_shape("flan-t5-large")
    counted = attach_shape(shape, make_method(shape, "lorafusion"), HARDWARE, Workload(calibration=0))
    per_layer = 1024 + 20 * 2 * 1024 * 16 + 20 * 20 * 16 * 16
    assert counted.sram_bytes["kept"] == 4 * 144 * per_layer  # 437 MB


@pytest.mark.parametrize(("model", "method"), [("flan-t5-large", "bitfit"), ("flan-t5-large", "linear-probe")])
def test_what_a_model_does_not_have_is_refused(model: str, method: str) -> None:
    shape = find_shape(model)
    with pytest.raises(CrossbarError, match="has a bias|has no head to train"):
        attach_shape(shape, make_method(shape, method), HARDWARE)


def test_the_linear_probe_row() -> None:
    """(d + 1) K values in SRAM, no cell, no transposed read (V, K = 100)."""
    shape, workload = find_shape("vit-b-16"), Workload(steps=2, classes=100)
    counted = count_shape(shape, make_method(shape, "linear-probe"), HARDWARE, workload)
    assert counted.adapter.trained_values == 769 * 100 and counted.trained_cells == counted.pool_cells == 0
    assert counted.sram_bytes["trained"] == 12 * 769 * 100
    ledger = counted.chip.ledger
    assert ledger.writes("adapt") == 0 and ledger.energy("adapt/backward", ("cell reads", "ADC", "DAC")) == 0


@cache
def vit(method: str, **settings: Any) -> Counted:
    shape = find_shape("vit-b-16")
    workload = Workload(steps=1, batch=1, calibration=0, inferences=1)
    return count_shape(shape, make_method(shape, method, settings), HARDWARE, workload)


def reads(ledger: Ledger, phase: str) -> int:
    return sum(row["count"] for row in ledger.rows() if (row["component"], row["phase"]) == ("cell reads", phase))


def digital(ledger: Ledger, *places: str) -> int:
    """Additions and multiplications in inference."""
    return sum(
        row["count"]
        for row in ledger.rows()
        if (row["component"], row["phase"]) == ("arithmetic", "infer") and row["place"] in places
    )


BASE_READS = 12 * 6 * 197
EXTRA_READS: list[tuple[str, dict[str, Any], int]] = [
    ("full-fine-tuning", {}, 0),
    ("bitfit", {}, 0),
    ("wegeft", {}, 0),
    ("wegeft", {"side": "output"}, 0),
    ("pasta", {}, 0),
    ("ia3", {}, 0),
    ("lora", {"placement": "sram"}, 0),
    ("adapters", {"placement": "sram"}, 0),
    ("lora", {}, 12 * 2 * 197),
    ("adapters", {}, 12 * 2 * 197),
    ("lora-fa", {}, 12 * 197),
    ("vera", {}, 12 * 2 * 197),
    ("lorafusion", {}, 12 * 2 * 197),
    ("vpt", {"prompts": 10, "deep": False}, 12 * 6 * 10),
    ("vpt", {"prompts": 10}, 0),  # deep: keys and values are kept
]


@pytest.mark.parametrize(("method", "settings", "extra"), EXTRA_READS)
def test_extra_reads_per_sample(method: str, settings: dict[str, Any], extra: int) -> None:
    ledger = vit(method, **settings).chip.ledger
    assert reads(ledger, "infer") == BASE_READS + extra
    assert reads(ledger, "adapt/backward") > 0


DIGITAL_MACS: list[tuple[str, dict[str, Any], int]] = [  # per token and adapted layer of 768 x 768
    ("lora", {"placement": "sram"}, 8 * (768 + 768)),
    ("adapters", {"placement": "sram"}, 2 * 768 * 8),
    ("lora-fa", {}, 8 * 768),
    ("wegeft", {}, 2 * 16 * 768),
    ("wegeft", {"side": "output"}, 2 * 16 * 768),
]


@pytest.mark.parametrize(("method", "settings", "macs"), DIGITAL_MACS)
def test_digital_products_per_token(method: str, settings: dict[str, Any], macs: int) -> None:
    beside = digital(vit(method, **settings).chip.ledger, "digital layers")
    alone = digital(vit("bitfit").chip.ledger, "digital layers")
    assert beside - alone == 2 * macs * 12 * 197


def test_digital_work_of_lorafusion_per_token() -> None:
    """2 N r + d_out products, and N r additions."""
    mixing, outputs = 20 * 8, 768
    assert digital(vit("lorafusion").chip.ledger, "fusion") == (3 * mixing + outputs) * 12 * 197


def test_no_backward_pass_without_gradients() -> None:
    for method in ("linear-probe", "lorahub"):
        shape = find_shape("digits-vit")
        counted = count_shape(shape, make_method(shape, method), HARDWARE, Workload(steps=1, inferences=0))
        assert reads(counted.chip.ledger, "adapt/backward") == 0 and counted.trained_cells == 0
