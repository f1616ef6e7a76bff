"""Counts of models too large to simulate, against the numbers published for them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.estimates.counted import Workload, attach, count
from benchmarks.estimates.estimate import attach_shape, estimate, make_method, record_of
from benchmarks.estimates.models import find_shape
from crossbar_sim import MappingError, SpecError, map_model
from crossbar_sim.cells.cells import Cells
from crossbar_sim.chip.chip import simulated_chip
from crossbar_sim.chip.counted import CountedChip
from crossbar_sim.chip.simulated import simulated
from crossbar_sim.counting.activity import Activity
from crossbar_sim.counting.weight_levels import gaussian_drive, gaussian_levels
from crossbar_sim.counting.write_samples import cell_write, expected_largest
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.runtime.counter_random import stream_key
from peft_methods import LoRA, LoRAFusion, MethodError, Pool
from tests.conftest import tiny_net, tiny_pool

HARDWARE = "milo2021_128x128"


@pytest.mark.parametrize(
    ("method", "trained", "pool_cells", "trained_cells"),
    [
        ("lorafusion", 148_416, 2 * 94_371_840, 0),  # 20 x 48 coefficients + 144 x 1024 magnitudes
        ("lora", 4_718_592, 0, 2 * 4_718_592),  # 144 modules x 2 x 16 x 1024
        ("full-fine-tuning", 717_225_984, 0, 2 * 717_225_984),
    ],
)
def test_flan_t5_large(method: str, trained: int, pool_cells: int, trained_cells: int) -> None:
    shape = find_shape("flan-t5-large")
    design = Hardware.load(HARDWARE)
    record = attach_shape(shape, make_method(shape, method), design, Workload(calibration=0))
    assert record.trained_values == trained
    assert record.pool_cells == pool_cells
    assert record.trained_cells == trained_cells
    assert record.backbone_weights == 717_225_984
    assert record.tiles >= (record.backbone_cells + pool_cells) / 128**2


def test_counts_agree_with_a_simulated_chip(milo: Hardware) -> None:
    from benchmarks.problems.backbones import load_backbone
    from benchmarks.problems.pools import POOL_FOLDER

    model, pool = load_backbone(), Pool.load(POOL_FOLDER / "digits_vit")
    chip = map_model(model, milo)
    adapter = LoRAFusion(pool=pool).attach(model, chip)
    record = estimate("digits-vit", "lorafusion", HARDWARE)
    assert record.trained_values == adapter.trained_values
    assert record.tiles == chip.plan.tile_count
    assert record.backbone_cells + record.pool_cells == chip.plan.cells_used
    assert record.pool_cells == chip.ledger.writes("pool")


LAYERS = """
name = "two-blocks"
tokens = 5
rank = 2
layers = [
  {name = "blocks.{i}.up", inputs = 20, outputs = 70, repeat = 2, products = 1000},
  {name = "blocks.{i}.down", inputs = 70, outputs = 20, tokens = 3, repeat = 2},
]
"""


def test_a_model_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(LAYERS, encoding="utf-8")
    workload = Workload(steps=3, batch=2, calibration=0, inferences=4)
    record = estimate(str(path), "lora", HARDWARE, {"placement": "sram"}, workload=workload)
    assert record.backbone_weights == 2 * 2 * 20 * 70 and record.trained_values == 4 * 2 * 90
    assert record.reads_by_phase["infer"] == 4 * (5 + 3 + 3 + 3)
    words = 14 * 2 * 90
    digital = (2 * 1000 + words) / 256e9 + 32 * words / 32768e9
    assert record.inference_latency_s == pytest.approx(14 * 150e-9 + digital)  # 14 vectors in turn
    assert record.pipelined_interval_s == pytest.approx(5 * 150e-9) and record.pipelined_slowest == "blocks.0.up"
    assert record.reads_by_phase["adapt/backward"] == 3 * 2 * (3 + 3 + 3)  # the first layer's input is data
    for broken, message in (
        (LAYERS.replace("blocks.{i}.down", "blocks.down"), r"needs \{i\} in its name"),
        (LAYERS.replace("blocks.{i}.down", "blocks.{i}.up"), "two are called 'blocks.0.up'"),
        (LAYERS.replace("products", "product"), "did you mean 'products'"),
    ):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(SpecError, match=message):
            estimate(str(path), "lora", HARDWARE)


def test_any_torch_model_with_any_input() -> None:
    """Keyword inputs, a mapping as output, a digital layer besides the head."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
            self.mixer = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.mixer(self.blocks[1](torch.relu(self.blocks[0](x * mask))))}

    def sample(n: int) -> dict[str, torch.Tensor]:
        return {"x": torch.empty(n, 8, device="meta"), "mask": torch.empty(8, device="meta")}

    with torch.device("meta"):
        model = Pair()
    workload = Workload(steps=2, calibration=0, inferences=5)
    counted = count(model, LoRA(rank=2), Hardware.load(HARDWARE), sample, workload=workload, digital=("mixer",))
    record = record_of(counted, "pair", "lora")
    assert record.reads_by_phase["infer"] == 5 * 2 * 3 and record.backbone_weights == 2 * 64
    assert record.max_writes_per_cell == 3 and record.cells_written_per_step == 2 * 2 * 32
    assert counted.chip.ledger.energy("infer", ("arithmetic",)) > 5 * 8 * 4 * counted.chip.hardware.digital.multiply


@pytest.mark.slow
def test_a_large_model_takes_little_memory() -> None:
    tracemalloc.start()
    record = estimate("llama-7b", "lora", HARDWARE, workload=Workload(steps=10, calibration=0, inferences=0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert record.backbone_weights == 32 * (4 * 4096**2 + 3 * 4096 * 11008) and peak < 100e6


def test_energy_grows_with_steps_and_changed_share() -> None:
    def energy(steps: int, share: float) -> float:
        record = estimate(
            "digits-vit",
            "lora",
            HARDWARE,
            workload=Workload(steps=steps, calibration=0, inferences=0),
            activity=Activity(changed_share=share),
        )
        return float(record.reprogramming_energy_J)

    start = energy(1, 0.0)
    assert energy(10, 0.5) - start == pytest.approx(10 * (energy(1, 0.5) - start), rel=1e-6)
    assert energy(1, 1.0) - start == pytest.approx(2 * (energy(1, 0.5) - start), rel=1e-2)


@pytest.mark.parametrize("values", [1, 2, 64, 1000])
def test_gaussian_laws(values: int) -> None:
    """Levels and drives against drawn Gaussian numbers, three standard errors of the slow twin."""
    x = np.random.default_rng(0).normal(size=(400_000 // values, values))
    largest = np.abs(x).max(axis=1, keepdims=True)
    drives = ((x / largest) ** 2).mean(axis=1)
    error = 3 * drives.std() / len(drives) ** 0.5
    assert gaussian_drive(values, Hardware.load(HARDWARE).dac) == pytest.approx(drives.mean(), abs=error + 0.005)
    shares = gaussian_levels(values, 9, Hardware.load(HARDWARE))
    assert sum(shares) == pytest.approx(1) and shares[0] >= 0.5
    level = float(np.arange(9) @ np.array(shares)) / 8 * 2
    assert level == pytest.approx(float((np.abs(x) / largest).mean()), rel=0.05 if values > 2 else 0.4)


def test_the_sample_of_writes_agrees_with_the_array_it_stands_for(milo: Hardware) -> None:
    crossbar = Cells(milo.device, (4000,), stream_key(3, "other"))
    levels = np.arange(4000) % 9
    goals = milo.device.g_min + milo.device.window * levels / 8
    done = crossbar.program(np.arange(4000), goals, milo.adc.energy)
    write = cell_write(milo, {(None, level): 1 / 9 for level in range(9)})
    assert write.set_pulses == pytest.approx(done.set_pulses.mean(), rel=0.01)
    assert write.set_energy == pytest.approx(done.set_energy.mean(), rel=0.01)
    assert write.verify_energy == pytest.approx(done.verify_energy.mean(), rel=0.01)
    row = np.arange(4000).reshape(-1, 40)
    slowest = done.pulses[row].max(axis=1).mean()
    expected = expected_largest(write.slot_values, write.slot_shares, 1.0, 40)
    assert expected == pytest.approx(slowest, rel=0.03)


def test_a_counting_chip_has_no_cells(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, CountedChip(milo))
    with pytest.raises(MappingError, match="has no cells"):
        simulated_chip(chip)
    with pytest.raises(MappingError, match="only counted"):
        simulated(next(iter(chip.matrices.values())))
    with pytest.raises(SpecError, match="did you mean 'deploy'"):
        attach(
            tiny_net(), LoRA(rank=2), milo, lambda n: torch.empty(n, 6), activity=Activity(levels={"deplyo": (1.0,)})
        )
    with pytest.raises(SpecError, match="have 9 levels"):
        map_model(tiny_net(), CountedChip(milo, activity=Activity(levels={"deploy": (1.0,)})))


def test_refusals() -> None:
    with pytest.raises(SpecError, match="did you mean 'flan-t5-large'"):
        estimate("flan-t5-huge", "lora", HARDWARE)
    with pytest.raises(SpecError, match="did you mean 'lorafusion'"):
        estimate("flan-t5-large", "lora-fusion", HARDWARE)
    with pytest.raises(MethodError, match="has no head to train"):
        estimate("flan-t5-large", "linear-probe", HARDWARE)
    model = tiny_net()
    chip = map_model(model, Hardware.load(HARDWARE))
    LoRAFusion(pool=tiny_pool(model)).attach(model, chip)
    with pytest.raises(MappingError, match="already holds a matrix"):
        chip.matrix("blocks.0.up", model.blocks[0]["up"].base.weight)
