"""Activations that training keeps: counted by hand, billed to memory and DRAM, and free where nothing holds them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmarks.estimates.counted import Workload, count
from crossbar_sim import Chip, Hardware, SpecError, map_model
from crossbar_sim.hardware.digital import ActivationMemory, Digital
from crossbar_sim.hardware.technology import arithmetic_energy
from crossbar_sim.ledger.datasheet import datasheet
from peft_methods import METHODS, LoRA, fine_tune
from peft_methods.training.activations import KeptActivations
from tests.conftest import tiny_net, tiny_transformer

MEMORY = ActivationMemory(read=1e-12, write=2e-12, word_bits=64, capacity=100)
X = torch.rand(12, 4, 4, generator=torch.Generator().manual_seed(0))


def with_memory(hardware: Hardware, memory: ActivationMemory | None = MEMORY, **changes: object) -> Hardware:
    changes = {"unit": None, "activation_memory": memory, **changes}
    return hardware.replace(digital=hardware.digital.replace(**changes))


@given(st.integers(0, 200), st.sampled_from(["float32", "float16", "int8"]))
def test_words_as_far_as_they_fit_and_bits_beyond(milo: Hardware, values: int, precision: str) -> None:
    digital = with_memory(milo, dram=8e-12, precision=precision).digital
    bits = values * {"float32": 32, "float16": 16, "int8": 8}[precision]
    held = min(bits, 800)
    terms = {work.component: (work.events, work.energy) for work in digital.activations(values, "write")}
    words = (held + 63) // 64
    assert terms["activation memory"] == (words, words * 2e-12)
    assert terms.get("DRAM", (0, 0.0)) == (bits - held, (bits - held) * 8e-12)
    alone = with_memory(milo, None, dram=8e-12).digital
    moved = [("DRAM", 32 * values, 32 * values * 8e-12, 0.0)] if values else []
    assert alone.activations(values, "read") == moved


def test_what_fits_nowhere_is_refused_and_what_has_no_memory_is_free(milo: Hardware) -> None:
    with pytest.raises(SpecError, match="4 bytes beyond its 100; enlarge its capacity, state digital.dram"):
        with_memory(milo).digital.activations(26, "write")
    assert milo.digital.activations(10**9, "read") == [] and not milo.digital.keeps_activations
    assert {"activation memory", "DRAM"} <= set(milo.unbilled)
    assert not {"activation memory", "DRAM"} & set(with_memory(milo, dram=1e-12).unbilled)


def test_kept_values_counted_by_hand(milo: Hardware) -> None:
    """Two layers: the input 5, and the hidden 7 of ReLU and of the second layer, once."""
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    chip = Chip(with_memory(milo, dram=1e-12))
    keep = KeptActivations(chip, model)
    for samples in (8, 4):
        with chip.ledger.phase("adapt/forward"), keep.written(samples):
            output = model(torch.randn(samples, 5))
        output.sum().backward()
        with chip.ledger.phase("adapt/backward"):
            keep.read(samples)
    assert keep.per_sample == 5 + 7
    rows = {(row["phase"], row["component"]): row["count"] for row in chip.ledger.rows()}
    assert rows["adapt/forward", "activation memory"] == rows["adapt/backward", "activation memory"] == 2 * 13
    assert rows["adapt/forward", "DRAM"] == rows["adapt/backward", "DRAM"] == 32 * (96 + 48) - 2 * 800


def test_frozen_matrices_on_tiles_keep_nothing(milo: Hardware) -> None:
    """Only the head is trained: its 6 inputs, against the input of every trained matrix."""
    kept = {}
    for name in ("linear-probe", "lora", "full-fine-tuning"):
        model = tiny_net()
        chip = map_model(model, with_memory(milo, None, dram=1e-12))
        adapter = METHODS[name](**{"steps": 2, "batch_size": 10})
        fine_tune(model, adapter.attach(model, chip), torch.randn(10, 6), torch.arange(10) % 3)
        kept[name] = chip.ledger.by("phase", "component")["adapt/forward", "DRAM"].count / 32 / 2
        assert chip.ledger.energy("infer", ("DRAM",)) == 0
    assert kept["linear-probe"] == 10 * 6 < min(kept["lora"], kept["full-fine-tuning"])


@pytest.mark.parametrize("name", ["linear-probe", "bitfit", "lora", "dora", "full-fine-tuning"])
def test_an_estimate_counts_the_same(milo: Hardware, name: str) -> None:
    hardware = with_memory(milo, MEMORY.replace(capacity=2000), dram=4e-12, precision="float16")
    method = METHODS[name](**{"steps": 2, "batch_size": 6})
    model = tiny_transformer()
    chip = map_model(model, hardware, exclude=("head",))
    fine_tune(model, method.attach(model, chip), X, torch.arange(12) % 3)
    counted = count(
        tiny_transformer(),
        method,
        hardware,
        lambda n: torch.empty(n, 4, 4, device="meta"),
        workload=Workload(calibration=0, inferences=0),
    )
    for component in ("activation memory", "DRAM"):
        ours, theirs = (ledger.energy("adapt", (component,)) for ledger in (counted.chip.ledger, chip.ledger))
        assert ours == pytest.approx(theirs) and (ours > 0 or (name, component) == ("linear-probe", "DRAM"))


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_arithmetic_scales_with_the_precision_as_the_table_does(milo: Hardware, precision: str) -> None:
    values = {"add": arithmetic_energy("float32 add", 32), "multiply": arithmetic_energy("float32 multiply", 32)}
    digital: Digital = milo.digital.replace(**values, precision=precision)
    assert digital.add_energy == pytest.approx(arithmetic_energy(f"{precision} add", 32))
    assert digital.multiply_energy == pytest.approx(arithmetic_energy(f"{precision} multiply", 32))
    chip = map_model(tiny_net(), milo.replace(digital=digital))
    assert chip.hardware.digital.precision == precision


def test_the_full_chip_bills_everything_with_area_and_leakage() -> None:
    hardware = Hardware.load("milo2021_full_chip")
    assert hardware.unbilled == ("half-select", "activation", "control", "off-chip link")
    assert all(row["source"] and row["where"] for row in hardware.provenance() if row["kind"] != "assumed")
    model = tiny_transformer()
    chip = map_model(model, hardware, exclude=("head",))
    fine_tune(model, LoRA(rank=2, steps=2, batch_size=6).attach(model, chip), X, torch.arange(12) % 3)
    billed = chip.ledger.by_component()
    assert all(billed[name] > 0 for name in ("leakage", "buffer", "bus", "router", "registers", "activation memory"))
    plain = Hardware.load("milo2021_128x128")
    assert (hardware.device, hardware.dac, hardware.adc) == (plain.device, plain.dac, plain.adc)
    assert datasheet(hardware)["chip"].area > 96 * datasheet(hardware)["array"].area > 0
