"""Engineering notation and unit parsing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import engineering, unit_scale


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.51e-7, "J", "251 nJ"),
        (5e-5, "S", "50 µS"),
        (0.0, "J", "0 J"),
        (1.2, "V", "1.2 V"),
        (999.6e-9, "J", "1 µJ"),
        (None, "J", "none"),
        (math.inf, "", "∞"),
        (1e6, "1", "1e+06"),
        (3e-21, "J", "3e-06 fJ"),
        (1e-6, "m²", "1 mm²"),
        (85.4e-6, "m²", "85.4 mm²"),
        (1.2e-9, "m2", "1.2e+03 µm2"),
        (2.5e-11, "m2", "25 µm2"),
        (1.66e-13, "m2", "0.166 µm2"),
        (2.0, "m²", "2 m²"),
        (1e-20, "m²", "0.01 nm²"),
    ],
)
def test_engineering(value: float | None, unit: str, text: str) -> None:
    assert engineering(value, unit) == text


@given(st.floats(1e-14, 1e9))
def test_engineering_keeps_three_digits(value: float) -> None:
    number, unit = engineering(value, "J").split(" ")
    assert math.isclose(float(number) * unit_scale(unit, "J"), value, rel_tol=6e-3)


def test_unit_scale_refuses_another_quantity() -> None:
    assert unit_scale("kohm", "ohm") == 1e3
    with pytest.raises(SpecError, match="not a unit of S"):
        unit_scale("V", "S")
