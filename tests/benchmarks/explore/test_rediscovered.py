"""Explorations of published chips find what their papers report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.explore.course import explore
from benchmarks.explore.engines import Local
from benchmarks.explore.exploration import Exploration
from benchmarks.explore.findings import Findings

PARTS = "architecture.components"
ADCS = ["adc.columns_per_adc", f"{PARTS}.ADC.count", f"{PARTS}.shift-and-add.count"]
"""How many ADCs an IMA has: columns that share one, converters, and a shift-and-add unit for every two."""
PEAK = {"chip_operations_per_s_and_m2": "max", "chip_operations_per_J": "max"}


def explored(folder: Path, hardware: str, vary: dict[str, Any], objectives: dict[str, str]) -> Findings:
    one = Exploration(
        **{"name": hardware, "method": "frozen", "hardware": hardware, "vary": vary, "objectives": objectives}
    )
    return explore(one, engine=Local(1), runs=folder, progress=False)


def adcs(arrays: int, counts: tuple[int, ...] = (2, 4, 8, 16, 32)) -> dict[str, Any]:
    values = [[arrays * 128 // count, count, max(count // 2, 1)] for count in counts]
    return {"adcs": {"paths": ADCS, "values": values}}


def gops_per_mm2(found: Findings) -> dict[int, float]:
    """ADCs per IMA -> giga-operations per second and square millimetre."""
    return {
        int(one.point["adcs"][1]): float(one.counted.chip_operations_per_s_and_m2 or 0) / 1e15  # type: ignore[index]
        for one in found.designs
        if one.counted is not None
    }


@pytest.mark.parametrize("arrays", [4, 8, 16])
def test_isaac_is_densest_with_one_adc_for_every_array(arrays: int, tmp_path: Path) -> None:
    """Shafiee et al. (ISCA 2016), Sec. VIII-A: the optimum has as many ADCs as 128 x 128 arrays in an IMA."""
    vary = {"architecture.arrays_per_core": [arrays], **adcs(arrays)}
    density = gops_per_mm2(explored(tmp_path, "isaac_ce", vary, PEAK))
    assert max(density, key=lambda count: density[count]) == arrays


def test_isaac_ce_has_its_published_density_and_efficiency(tmp_path: Path) -> None:
    """Shafiee et al. (ISCA 2016, corrected), Table IV: 478.95 GOPS/s/mm2 and 627.5 GOPS/s/W."""
    found = explored(tmp_path, "isaac_ce", adcs(8, (4, 8, 16, 32)), PEAK)
    density = gops_per_mm2(found)
    assert density[8] == pytest.approx(478.95, rel=0.01)
    assert [density[count] for count in (4, 16, 32)] == pytest.approx([273.4, 392.2, 284.8], rel=1e-3)  # as designed
    (ce,) = (one for one in found.designs if one.point["adcs"] == [128, 8, 4])
    assert ce.counted is not None
    assert (ce.counted.chip_operations_per_J or 0) / 1e9 == pytest.approx(627.5, rel=0.001)


def test_a_slower_array_halves_the_throughput_and_costs_less_than_half_of_the_density(tmp_path: Path) -> None:
    """Shafiee et al. (ISCA 2016): reads of 200 instead of 100 ns halve the throughput; with half the ADCs the density
    falls by 30 % only."""
    vary = {
        "reads": {
            "paths": ["architecture.cycle_time", *ADCS],
            "values": [[100e-9, 128, 8, 4], [200e-9, 256, 4, 2]],
        }
    }
    fast, slow = (one.counted for one in explored(tmp_path, "isaac_ce", vary, PEAK).designs)
    assert fast is not None
    assert slow is not None
    assert (slow.chip_operations_per_s or 0) == pytest.approx((fast.chip_operations_per_s or 0) / 2)
    kept = (slow.chip_operations_per_s_and_m2 or 0) / (fast.chip_operations_per_s_and_m2 or 1)
    assert 0.5 < kept < 0.75


NEURRAM = {(3, 1): 43.08, (4, 2): 40.33, (5, 3): 23.09, (6, 4): 15.95, (7, 5): 11.03, (9, 7): 7.75, (10, 8): 6.44}
"""(output bits, input bits) -> TOPS/W: Wan et al. (Nature 2022), digitised by CiMLoop."""


def test_neurram_is_as_efficient_over_its_bits_as_measured(tmp_path: Path) -> None:
    """Within 3 % for seven pairs of bits. The eighth, 8-bit outputs and 6-bit inputs, was digitised as 8.26 and, for
    one phase, as 9.12 TOPS/W; the model gives 9.03."""
    pairs = [*NEURRAM, (8, 6)]
    paths = ["adc.bits", "architecture.input_cycles", "architecture.conversions"]
    values = [[out, max(given - 1, 1), 1 + (given > 4)] for out, given in pairs]
    found = explored(
        tmp_path, "neurram", {"bits": {"paths": paths, "values": values}}, {"array_operations_per_J": "max"}
    )
    efficiency = {
        pair: float(one.counted.array_operations_per_J or 0) / 1e12
        for pair, one in zip(pairs, found.designs, strict=True)
        if one.counted is not None
    }
    for pair, published in NEURRAM.items():
        assert efficiency[pair] == pytest.approx(published, rel=0.03), pair
    assert efficiency[8, 6] == pytest.approx(9.12, rel=0.02)
    assert [one.point["bits"] for one in found.front] == [[3, 1, 1]]


def test_the_best_size_of_an_array_depends_on_the_workload() -> None:
    """CiMLoop (Andrulis et al., ISPASS 2024): small layers waste large arrays. Energy of one inference over the size of
    a square tile: the small transformer of the digits is cheapest on smaller tiles than ViT-B/16."""
    from benchmarks.estimates.counted import Workload
    from benchmarks.estimates.estimate import count_shape, make_method
    from benchmarks.estimates.models import find_shape
    from crossbar_sim import Hardware

    base = Hardware.load("wan2022_256x256")
    best: dict[str, int] = {}
    for model in ("digits-vit", "vit-b-16"):
        shape = find_shape(model)
        energy = {
            size: count_shape(
                shape,
                make_method(shape, "frozen"),
                base.replace(tile=base.tile.replace(rows=size, columns=size)),
                Workload(calibration=0, inferences=1),
            ).chip.ledger.energy("infer")
            for size in (32, 64, 128, 256, 512, 1024)
        }
        best[model] = min(energy, key=lambda size: energy[size])
    assert best["digits-vit"] < best["vit-b-16"], best
