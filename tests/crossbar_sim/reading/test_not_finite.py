"""NaN, infinity and complex numbers are refused by every drive, range and circuit, and leave everything as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from crossbar_sim import CrossbarError, Hardware, MappingError, calibrate, map_model
from crossbar_sim.chip.chip import Chip
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.reading.choose import choose


def changed(name: str, **parts: dict[str, Any]) -> Callable[[], Hardware]:
    def made() -> Hardware:
        hardware = Hardware.load(name)
        return hardware.replace(**{part: getattr(hardware, part).replace(**new) for part, new in parts.items()})

    return made


MILO, ISAAC = "milo2021_128x128", "isaac_ce"
SERIAL, CALIBRATED = {"drive": "bit_serial"}, {"range": "calibrated"}
ROUNDED = CALIBRATED | {"codes": "mid_tread"}
DESIGNS = {
    "vector": changed(MILO),
    "calibrated": changed(MILO, dac=CALIBRATED, adc=CALIBRATED),
    "serial": changed(MILO, dac=SERIAL),
    "serial calibrated": changed(MILO, dac=SERIAL | CALIBRATED, adc=CALIBRATED),
    "offset": changed(MILO, tile={"mapping": "offset"}),
    "mid-rise": changed(MILO, adc={"codes": "mid_rise"}),
    "isaac": changed(ISAAC),
    "isaac calibrated": changed(ISAAC, dac=CALIBRATED, adc=ROUNDED),
    "isaac multi-level": changed(ISAAC, dac={"drive": "multi_level"}, adc=ROUNDED),
    "ideal": lambda: Hardware.load(MILO).ideal(),
    "neurram": changed("neurram"),
    "hermes": changed("hermes"),
    "full chip": changed("milo2021_full_chip"),
}
NAN, INFINITY = float("nan"), float("inf")


def state(matrix: SimulatedMatrix) -> tuple[Any, ...]:
    """All that a read may change."""
    registers = [dataclasses.astuple(matrix.registers(transposed)) for transposed in (False, True)]
    plain = [[one.tolist() if isinstance(one, np.ndarray) else one for one in values] for values in registers]
    return plain, matrix.ledger.rows(), dict(matrix.bill.vectors), matrix.cells.writes.sum()


@pytest.mark.parametrize("by_torch", [False, True], ids=["compiled", "torch"])
@pytest.mark.parametrize("design", DESIGNS)
def test_refused_in_training_and_evaluation_forward_and_back_and_nothing_changes(design: str, by_torch: bool) -> None:
    torch.manual_seed(0)
    chip = Chip(DESIGNS[design]())
    for fresh in (True, False):
        matrix = chip.matrix(f"w{fresh}", torch.randn(12, 20))
        for transposed, width in ((False, 20), (True, 12)):
            path = matrix.path(transposed)
            if not fresh:
                matrix.read(torch.randn(4, width), transposed)
            if by_torch:
                path.prepare()
                path.reader()
                path.readers["cpu"] = choose(path.direction, "cuda")
            before = state(matrix)
            for wrong in (NAN, INFINITY, -INFINITY):
                x = torch.randn(4, width)
                x[1, 2] = wrong
                for training in (True, False):
                    matrix.train(training)
                    side = "output gradient" if transposed else "input"
                    with pytest.raises(MappingError, match=f"w{fresh}: NaN or infinity in its {side}"):
                        matrix.read(x, transposed)
                    assert state(matrix) == before
            assert matrix.read(torch.randn(2, width), transposed).isfinite().all()


@pytest.mark.parametrize("backward", ["analog", "noise_free", "ideal"])
def test_every_backward_rule_refuses_a_gradient_that_is_not_finite(backward: str) -> None:
    matrix = Chip(Hardware.load(MILO).replace(backward=backward)).matrix("w", torch.randn(3, 4))
    before = state(matrix)
    with pytest.raises(MappingError, match="output gradient"):
        matrix.gradient_to_input(torch.tensor([[1.0, NAN, 0.0]]))
    assert state(matrix) == before


@pytest.mark.parametrize("kind", [torch.complex64, torch.complex128])
def test_complex_numbers_are_refused(kind: torch.dtype, ideal: Hardware) -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    chip = map_model(model, ideal)
    before = state(chip.matrices["0"])
    with pytest.raises(MappingError, match="0 reads real numbers"):
        model(torch.ones(2, 4).to(kind))
    assert state(chip.matrices["0"]) == before


def test_a_batch_without_vectors_moves_no_register() -> None:
    matrix = Chip(DESIGNS["calibrated"]()).matrix("w", torch.randn(3, 4))
    assert matrix.read(torch.zeros(0, 4)).shape == (0, 3)
    assert matrix.registers().ranges is None and matrix.registers().full_drive is None
    matrix.read(torch.ones(2, 4))
    before = state(matrix)
    matrix.read(torch.zeros(0, 4))
    assert state(matrix)[0] == before[0]


def test_zeros_do_not_set_what_drives_a_line_fully() -> None:
    matrix = Chip(DESIGNS["calibrated"]()).matrix("w", torch.randn(3, 4)).eval()
    assert (matrix.read(torch.zeros(2, 4)) == 0).all()
    assert matrix.registers().full_drive is None
    matrix.read(torch.full((1, 4), 2.0))
    assert matrix.registers().full_drive == 2.0


def test_a_calibration_that_is_refused_leaves_the_registers_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    chip = map_model(model, DESIGNS["calibrated"]())
    model(torch.ones(2, 4))
    before = [state(matrix)[0] for matrix in chip.matrices.values()]
    with pytest.raises(CrossbarError, match="NaN or infinity"):
        calibrate(model, torch.tensor([[1.0, INFINITY, 0.0, 0.0]]))
    assert [state(matrix)[0] for matrix in chip.matrices.values()] == before


@pytest.mark.parametrize("exponent", [*range(-44, 38, 6), 38])
def test_weights_anywhere_in_float32_are_right_or_refused(exponent: int) -> None:
    torch.manual_seed(0)
    weight = torch.rand(3, 4).double() + 0.5
    weight = (weight * 10.0**exponent).float()
    chip = Chip(Hardware.load(MILO).ideal())
    try:
        matrix = chip.matrix("w", weight)
    except MappingError as error:
        assert "rescale the weights" in str(error) and exponent > 30
        assert not chip.matrices and chip.ledger.rows() == []
        return
    x = torch.randn(5, 4)
    largest = float((x @ weight.T).abs().max())
    assert torch.allclose(matrix.weight(), weight, rtol=1e-5, atol=2e-45)
    assert torch.allclose(matrix.read(x), x @ weight.T, rtol=0, atol=1e-4 * largest + 1e-44)
