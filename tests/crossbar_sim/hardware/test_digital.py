"""The digital unit: what work takes, by hand; without one no time, and no other digest than before there was one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim import Hardware, SpecError
from crossbar_sim.hardware.digital import BITS, Digital, DigitalUnit, Precision
from crossbar_sim.hardware.hardware import hardware_names

UNIT = DigitalUnit(units=2, add_rate=4e9, multiply_rate=1e9, memory_bandwidth=64e9, dram_bandwidth=8e9)
PLAIN = Digital(sram_read=2e-12, sram_write=3e-12, add=1e-12, multiply=4e-12, shift_add=0.0)
TIMED = PLAIN.replace(unit=UNIT)
OPERATIONS = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("precision", "adds", "multiplies", "seconds"),
    [
        ("float32", 8, 0, 1e-9),
        ("float32", 8, 2, 1e-9),
        ("float32", 8, 20, 10e-9),
        ("float16", 8, 20, 5e-9),
        ("bfloat16", 8, 20, 5e-9),
        ("int8", 8, 20, 2.5e-9),
        ("int8", 0, 0, 0.0),
    ],
)
def test_adders_and_multipliers_work_side_by_side(
    precision: Precision, adds: int, multiplies: int, seconds: float
) -> None:
    assert TIMED.replace(precision=precision).arithmetic(adds, multiplies).time == pytest.approx(seconds, rel=1e-12)


def test_memories_move_bits_at_their_bandwidth() -> None:
    assert TIMED.sram(reads=3, writes=5) == ("SRAM", 8, 3 * 2e-12 + 5 * 3e-12, 8 * 32 / 128e9)
    held = TIMED.replace(activation_memory={"read": 1e-12, "write": 1e-12, "word_bits": 64, "capacity": 16}, dram=1e-12)
    memory, dram = held.activations(5, "write")
    assert (memory.time, dram.time) == (2 * 64 / 128e9, 32 / 8e9)


@given(OPERATIONS, OPERATIONS, OPERATIONS, OPERATIONS, st.sampled_from(sorted(BITS)))
def test_without_a_unit_the_same_joule_and_no_time(
    adds: int, multiplies: int, reads: int, writes: int, precision: Precision
) -> None:
    timed, plain = TIMED.replace(precision=precision), PLAIN.replace(precision=precision)
    for slow, free in (
        (timed.arithmetic(adds, multiplies), plain.arithmetic(adds, multiplies)),
        (timed.sram(reads, writes), plain.sram(reads, writes)),
    ):
        assert slow[:3] == free[:3] and free.time == 0.0 and (slow.time > 0.0) == (slow.events > 0)
        assert math.isfinite(slow.time)


def test_a_design_without_a_unit_keeps_the_digest_that_it_had() -> None:
    assert "unit" not in PLAIN.model_dump(mode="json") and PLAIN.digest() == "3fd39b390f702e4f"
    assert PLAIN.digest() != TIMED.digest() and TIMED.replace(unit=None).digest() == PLAIN.digest()


def test_dram_traffic_without_a_bandwidth_is_refused() -> None:
    with pytest.raises(SpecError, match=r"state digital.unit.dram_bandwidth \(bit/s\), or leave digital.unit out"):
        PLAIN.replace(unit=UNIT.replace(dram_bandwidth=None), dram=1e-12)


def test_every_shipped_design_states_its_unit_as_an_assumption() -> None:
    for name in hardware_names():
        unit = Hardware.load(name).digital.unit
        assert unit is not None and {note.kind for note in unit.provenance.values()} == {"assumed"}
        assert unit.add_rate == unit.multiply_rate == 16e9 and unit.memory_bandwidth == 2048e9
