"""What must hold of any chip: ideal it is the digital model, its energies add up, and nothing depends on threads."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar_sim import Chip, Hardware, map_model
from tests.crossbar_sim.layers.test_layer_kinds import model_of
from tests.oracles.on_threads import on_threads

MAPPINGS: dict[str, dict[str, Any]] = {
    "differential": {"mapping": "differential"},
    "two-sided": {"mapping": "two_sided"},
    "one side of two": {"mapping": "two_sided", "pair_update": "one_side"},
    "offset": {"mapping": "offset"},
    "sliced": {"mapping": "differential", "slices": 4, "slice_bits": 2},
    "sliced offset": {"mapping": "offset", "slices": 2, "slice_bits": 3},
}
LAYERS = ("linear", "conv1d", "conv2d", "attention", "lstm", "gru", "rnn")
CONVERTERS = [
    ({"drive": drive, "range": inputs}, {"circuit": circuit, "codes": codes, "range": currents})
    for drive, inputs, circuit, codes, currents in itertools.product(
        ("multi_level", "bit_serial"),
        ("vector", "calibrated"),
        ("uniform", "sar", "ramp"),
        ("mid_tread", "mid_rise"),
        ("calibrated", "full_scale", "granular"),
    )
]


def small(hardware: Hardware, mapping: str, dac: dict[str, Any], adc: dict[str, Any]) -> Hardware:
    """Tiles of a few lines, so that every matrix takes several."""
    return hardware.replace(
        tile=hardware.tile.replace(rows=5, columns=24, **MAPPINGS[mapping]),
        dac=hardware.dac.replace(**dac),
        adc=hardware.adc.replace(**adc),
    )


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_with_everything_off_any_chip_is_the_digital_model(ideal: Hardware, mapping: str, kind: str) -> None:
    """Every mapping and every kind of layer meets every setting of the converters; they take turns in the cross."""
    model, x = model_of(kind)
    exact = model(x).detach()
    turn = list(MAPPINGS).index(mapping) + LAYERS.index(kind)
    for index, (dac, adc) in enumerate(CONVERTERS):
        if (index + turn) % len(MAPPINGS) == 0:
            mapped = copy.deepcopy(model)
            map_model(mapped, small(ideal, mapping, dac, adc), exclude=())
            mapped.eval()
            error = (mapped(x).detach() - exact).abs().max()
            assert error <= 1e-6 * max(float(exact.abs().max()), 1.0), (dac, adc)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_fine_converters_of_any_kind_add_little(ideal: Hardware, mapping: str) -> None:
    """14-bit ADCs and DACs on an otherwise ideal chip, inputs of one sign, which load the columns most: below 2 %.

    A granular range belongs to levels: here it would put a code on each of 2^13 steps of an input and clip.
    """
    weight, x = torch.linspace(-1, 1, 7 * 13).reshape(7, 13).sin(), torch.linspace(-1, 1, 20 * 13).reshape(20, 13).cos()
    for turn, (dac, adc) in enumerate(CONVERTERS):
        if adc["range"] != "granular" and turn % 5 == list(MAPPINGS).index(mapping) % 5:
            bits = {"bits": 14, "exact": False}
            matrix = Chip(small(ideal, mapping, {**dac, **bits}, {**adc, **bits})).matrix("w", weight)
            for read, exact in (
                (matrix.read(x), x @ weight.T),
                (matrix.read(x[:, :7], transposed=True), x[:, :7] @ weight),
            ):
                assert 0 < (read - exact).std() < 0.02 * exact.std(), (dac, adc)
            assert matrix.clipped_share() == matrix.clipped_share(transposed=True) == 0


NOISY_CONVERTERS = [
    ({}, {}),
    ({"drive": "bit_serial"}, {"circuit": "sar", "mismatch": 0.02}),
    ({"range": "calibrated"}, {"circuit": "ramp", "codes": "mid_rise", "gain_error": 0.01, "offset_error": 0.5}),
]


@pytest.mark.parametrize(("dac", "adc"), NOISY_CONVERTERS)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_noisy_chip_depends_on_its_seed_and_not_on_threads(
    milo: Hardware, mapping: str, dac: dict[str, Any], adc: dict[str, Any]
) -> None:
    weight, x = torch.linspace(-1, 1, 7 * 13).reshape(7, 13).sin(), torch.linspace(-1, 1, 40 * 13).reshape(40, 13)
    outputs, energies = [], []
    for seed, threads in ((3, 1), (3, 2), (4, 1)):
        with on_threads(threads):
            chip = Chip(small(milo.replace(device=milo.device.replace(levels=16)), mapping, dac, adc), seed)
            outputs.append(chip.matrix("w", weight)(x))
        energies.append(chip.ledger.energy())
    assert torch.equal(outputs[0], outputs[1]) and energies[0] == energies[1]
    assert not torch.equal(outputs[0], outputs[2])


CELLS = ("SET pulses", "RESET pulses", "verify reads", "verify sensing", "cell reads")


@settings(max_examples=30)
@given(
    inputs=st.integers(1, 12),
    left=st.integers(1, 9),
    right=st.integers(1, 9),
    seed=st.integers(0, 999),
    mapping=st.sampled_from(sorted(MAPPINGS)),
    by_inputs=st.booleans(),
)
def test_two_halves_cost_their_cells_what_the_whole_costs(
    milo: Hardware, inputs: int, left: int, right: int, seed: int, mapping: str, by_inputs: bool
) -> None:
    """Without spread, which each matrix draws for itself."""
    hardware = small(milo.without("programming_error", "read_noise", "adc", "dac"), mapping, {}, {})
    hardware = hardware.replace(
        device=hardware.device.replace(cycle_to_cycle=0.0, levels=16),
        tile=hardware.tile.replace(scale="matrix", rows=64, columns=400),
    )
    draw = torch.Generator().manual_seed(seed)
    weight = torch.rand(left + right, inputs, generator=draw) * 2 - 1
    weight[0, 0] = weight[left, 0] = 1.0  # both halves have the same scale
    x = torch.rand(3, inputs, generator=draw) * 2 - 1
    if by_inputs:
        weight, x = weight.T.contiguous(), torch.rand(3, left + right, generator=draw) * 2 - 1
        x[:, 0] = x[:, left] = 1.0  # and the same largest input
    axis = 1 if by_inputs else 0
    whole, halves = Chip(hardware), Chip(hardware)
    whole.matrix("whole", weight)(x)
    for name, part, vectors in zip(
        "ab", weight.split([left, right], axis), x.split([left, right], 1) if by_inputs else (x, x), strict=True
    ):
        halves.matrix(name, part.contiguous())(vectors)
    assert all(row["energy_J"] >= 0 for row in whole.ledger.rows())
    for component in CELLS:
        one, two = (chip.ledger.energy(components=(component,)) for chip in (whole, halves))
        if hardware.tile.references and not by_inputs:
            assert two >= one * (1 - 1e-5)  # each half needs a reference column
        else:
            assert two == pytest.approx(one, rel=1e-5)


@settings(max_examples=30)
@given(
    inputs=st.integers(1, 12),
    outputs=st.integers(1, 9),
    seed=st.integers(0, 999),
    mapping=st.sampled_from(sorted(MAPPINGS)),
    changed=st.integers(0, 3),
)
def test_what_does_not_change_is_not_written_and_nothing_leaves_the_window(
    milo: Hardware, inputs: int, outputs: int, seed: int, mapping: str, changed: int
) -> None:
    hardware = small(milo.without("programming_error"), mapping, {}, {})
    hardware = hardware.replace(device=hardware.device.replace(levels=16))
    weight = torch.rand(outputs, inputs, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    chip = Chip(hardware, seed)
    matrix = chip.matrix("w", weight)
    energy, cells = chip.ledger.energy(), matrix.cells.conductance.copy()
    assert matrix.program().count == 0 and chip.ledger.energy() == energy
    with torch.no_grad():
        for index in range(min(changed, inputs)):
            matrix.master[0, index] *= -0.5
    written = matrix.program()
    assert written.count <= min(changed, inputs) * hardware.tile.cells_per_weight
    assert (chip.ledger.energy() > energy) == (written.count > 0)
    untouched = torch.ones(cells.size, dtype=torch.bool)
    untouched[torch.from_numpy(written.cells)] = False
    assert (matrix.cells.conductance.reshape(-1) == cells.reshape(-1))[untouched.numpy()].all()
    device = hardware.device
    inside = (matrix.cells.conductance >= device.g_min * (1 - 1e-12)) & (
        matrix.cells.conductance <= device.g_max * (1 + 1e-12)
    )
    assert inside.all()
