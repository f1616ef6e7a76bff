"""Writes and pulses are counted in few bytes until these do not hold them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim import SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.counting import Counting
from crossbar_sim.devices import DeviceModel
from crossbar_sim.runtime.counter_random import stream_key


@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), max_size=30))
def test_counts_are_never_wrong_and_narrow_while_they_fit(writes: list[list[int]]) -> None:
    counting = Counting(np.uint8, np.uint32)
    counts, total = counting.zeros((3,)), np.zeros(3, np.int64)
    for added in writes:
        counts = counting.room_for(counts, 40)
        counts += np.array(added, counts.dtype)
        total += added
        assert (counts == total).all()
        assert counts.dtype == np.uint32 or total.max() <= 255
    assert counts.dtype == np.uint8 or total.max() + 40 > 255
    again = counting.counted(total)
    assert (again == total).all() and (again.dtype == np.uint8) == (total.max() <= 255)


def test_a_cell_counts_on_beyond_the_narrow_type() -> None:
    device = DeviceModel.load("milo2021")
    cells = Cells(device, (4,), stream_key(0, "cells"))
    cells.program(np.arange(4), np.full(4, device.g_max), 0.0)
    writes = np.array([65534, 65535, 70000, 1])
    cells.restore({**cells.arrays, "writes": writes, "pulses": writes}, 0.0, 0)
    cells.program(np.arange(4), np.full(4, device.g_min), 0.0)
    assert cells.writes.tolist() == (writes + 1).tolist()


def test_a_cell_at_the_end_of_the_narrow_type_is_counted_further() -> None:
    device = DeviceModel.load("milo2021")
    cells = Cells(device, (1,), stream_key(0, "cells"))
    cells.restore({**cells.arrays, "writes": np.array([65535]), "pulses": np.array([2**31 - 1])}, 0.0, 0)
    assert cells.writes.dtype == np.uint16 and cells.pulses.dtype == np.int32
    pulses = cells.program(np.arange(1), np.full(1, device.g_max), 0.0).pulses
    assert cells.writes.tolist() == [65536] and cells.pulses.tolist() == [2**31 - 1 + int(pulses[0])]


def test_ages_are_kept_where_something_depends_on_them() -> None:
    with pytest.raises(SpecError, match="milo2021: .* ages of cells are not kept; give the device a retention law"):
        _ = Cells(DeviceModel.load("milo2021"), (2,), stream_key(0, "cells")).age
