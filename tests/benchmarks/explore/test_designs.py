"""Designs: dotted paths reach every number, what is changed says so, and names do not make a design another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.experiments.experiment import Experiment
from benchmarks.explore.designs import changed, check_paths, content_digest
from benchmarks.explore.space import Point, Space, read_varied
from crossbar_sim import Hardware, SpecError
from peft_methods import LoRA, LoRAFusion


@pytest.fixture(scope="module")
def base(milo: Hardware) -> Experiment:
    return Experiment(method=LoRA(), hardware=milo)


def space_of(**varied: Any) -> Space:
    return Space({path.replace("__", "."): read_varied(one) for path, one in varied.items()})


def at(base: Experiment, space: Space, point: Point) -> Experiment:
    check_paths(base, space)
    return changed(base, space, point)


@pytest.mark.parametrize(
    ("path", "given", "value", "found"),
    [
        ("tile.rows", [64], 64, lambda one: one.hardware.tile.rows == 64),
        ("device", ["wan2022"], "wan2022", lambda one: one.hardware.device.g_max == pytest.approx(40e-6)),
        ("hardware", ["wan2022_256x256"], "wan2022_256x256", lambda one: one.hardware.tile.rows == 256),
        ("method", [{"name": "lorafusion"}], {"name": "lorafusion"}, lambda one: one.method == LoRAFusion()),
        ("method.rank", [2], 2, lambda one: one.method.rank == 2),
        (
            "method.update_rule",
            ["sign_pulses"],
            "sign_pulses",
            lambda one: one.method.update_rule.name == "sign_pulses",
        ),
        ("shots_per_class", [3], 3, lambda one: one.shots_per_class == 3),
        (
            "adc.sample_rate",
            {"values": [640], "unit": "MHz"},
            640,
            lambda one: one.hardware.adc.sample_rate == pytest.approx(640e6),
        ),
        (
            "both",
            {"paths": ["adc.columns_per_adc", "tile.rows"], "values": [[8, 64]]},
            [8, 64],
            lambda one: (one.hardware.adc.columns_per_adc, one.hardware.tile.rows) == (8, 64),
        ),
    ],
)
def test_a_path_reaches_its_number(base: Experiment, path: str, given: Any, value: Any, found: Any) -> None:
    space = space_of(**{path: given})
    assert found(at(base, space, {path: value}))


def test_a_name_is_loaded_before_what_is_inside_it_changes(base: Experiment) -> None:
    space = space_of(device=["milo2021", "wan2022"], device__levels=[4, 8])
    one = at(base, space, {"device": "wan2022", "device.levels": 8})
    assert one.hardware.device.levels == 8
    assert one.hardware.device.g_max == pytest.approx(40e-6)


def test_a_part_of_several_is_found_by_its_name(base: Experiment) -> None:
    isaac = base.replace(hardware=Hardware.load("isaac_ce"))
    space = space_of(**{"architecture.components.ADC.count": [4]})
    parts = at(isaac, space, {"architecture.components.ADC.count": 4}).hardware.architecture
    assert parts is not None
    assert {one.name: one.count for one in parts.components}["ADC"] == 4


def test_factors_multiply_numbers_and_laws(base: Experiment) -> None:
    space = space_of(**{"device.programming_error": {"from": 0.5, "to": 4, "times": True}})
    device, usual = at(base, space, {"device.programming_error": 2.0}).hardware.device, base.hardware.device
    assert device.programming_error is not None
    assert usual.programming_error is not None
    middle = np.array([(usual.g_min + usual.g_max) / 2])
    assert device.programming_error(middle) == pytest.approx(2 * usual.programming_error(middle))


def test_what_is_varied_says_what_it_was(base: Experiment) -> None:
    space = space_of(tile__rows=[64], adc__sample_rate=[1e9])
    hardware = at(base, space, {"tile.rows": 64, "adc.sample_rate": 1e9}).hardware
    rows = {f"{row['part']}.{row['name']}": row for row in hardware.provenance()}
    assert rows["adc.sample_rate"]["kind"] == rows["tile.rows"]["kind"] == "assumed"
    assert "changed from" in rows["tile.rows"]["where"]
    assert hardware.name == "milo2021_128x128, changed"


def test_designs_that_differ_in_names_and_sources_only_are_one(base: Experiment) -> None:
    there = space_of(tile__rows=[64])
    back = space_of(tile__rows=[128])
    returned = at(at(base, there, {"tile.rows": 64}), back, {"tile.rows": 128})
    assert returned.hardware.name != base.hardware.name
    assert content_digest(returned) == content_digest(base)
    assert content_digest(at(base, there, {"tile.rows": 64})) != content_digest(base)
    assert content_digest(base.replace(seeds=(7,))) == content_digest(base)


def test_a_design_changes_as_a_whole(base: Experiment) -> None:
    """Half of the change alone would be refused: 4 bits per slice need 16 levels, and there are fewer."""
    space = space_of(tile__slice_bits=[4], tile__slices=[2], device__levels=[16])
    one = at(base, space, {"tile.slice_bits": 4, "tile.slices": 2, "device.levels": 16})
    assert (one.hardware.tile.slice_bits, one.hardware.device.levels) == (4, 16)


def test_the_first_modules_of_a_pool_are_mixed(base: Experiment) -> None:
    fusion = base.replace(method=LoRAFusion())
    one = at(fusion, space_of(**{"pool.size": [2, 4]}), {"pool.size": 2})
    assert isinstance(one.method, LoRAFusion)
    assert len(one.method.find_pool()) == 2


@pytest.mark.parametrize(
    ("path", "given", "value", "words"),
    [
        ("tile.rws", [3], 3, "did you mean 'rows'"),
        ("tile.rows.x", [3], 3, "nothing is inside"),
        ("architecture.components.ADC", [3], 3, "nothing is inside"),
        ("task", ["occlude"], "occlude", "the same for all designs"),
        ("tile.rows", [3000000], 3000000, "rows"),
        ("device.levels", {"values": [0.5], "times": True}, 0.5, "levels"),
        ("backward", {"values": [2], "times": True}, 2, "nothing to multiply"),
        ("pool.size", [3], 3, "mixes no pool"),
        ("shots_per_class", {"values": [1], "unit": "mV"}, 1, "no unit"),
        ("adc.sample_rate", {"values": [1], "unit": "mV"}, 1, "not a unit of Hz"),
    ],
)
def test_a_design_that_cannot_be_is_refused_with_a_sentence(
    base: Experiment, path: str, given: Any, value: Any, words: str
) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        at(base, space_of(**{path: given}), {path: value})
    assert len(str(caught.value)) <= 400
