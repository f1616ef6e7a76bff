"""Targets that are kept as numbers of levels are, bit for bit, the conductances that the law of the mapping gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim import Hardware, MappingError
from crossbar_sim.mapping.encoding import retarget
from crossbar_sim.mapping.kept_targets import KeptTargets
from crossbar_sim.mapping.layout import Layout

MILO = Hardware.load("milo2021_128x128")
KINDS = {2: np.uint8, 254: np.uint8, 255: np.uint16, 1000: np.uint16, None: np.float64}


def layout_of(**tile: object) -> Layout:
    return Layout(MILO.tile.replace(**{"rows": 8, "columns": 8, **tile}), 11, 7)


@pytest.mark.parametrize("levels", KINDS)
@given(seed=st.integers(0, 100))
def test_a_pair_stands_where_the_law_says(levels: int | None, seed: int) -> None:
    device, layout = MILO.device.replace(levels=levels), layout_of()
    weight = np.random.default_rng(seed).uniform(-1.2, 1.2, (7, 11)).astype(np.float32)
    kept = KeptTargets.nowhere(device, layout)
    assert kept.array.dtype == KINDS[levels] and np.isnan(kept.siemens).all()
    cells, goals = retarget(weight, np.ones((layout.row_tiles, 7)), device, layout, np.arange(11), kept)
    share = np.clip(np.stack([weight.T, -weight.T]).astype(np.float64), 0, 1)
    if levels is not None:
        share = np.rint(share * (levels - 1)) / (levels - 1)
    expected = device.g_min + device.window * share
    assert kept.siemens.tobytes() == expected.tobytes() and goals.tobytes() == expected.tobytes()
    assert cells.tolist() == list(range(expected.size))
    assert retarget(weight, np.ones((layout.row_tiles, 7)), device, layout, np.arange(11), kept)[0].size == 0


@pytest.mark.parametrize(
    "tile", [{"mapping": "offset"}, {"slices": 2, "slice_bits": 2}, {"mapping": "two_sided", "pair_update": "one_side"}]
)
def test_references_digits_and_single_sides_are_numbers_too(tile: dict) -> None:
    device, layout = MILO.device.replace(levels=4), layout_of(**tile)
    weight = np.random.default_rng(0).uniform(-1, 1, (7, 11)).astype(np.float32)
    kept = KeptTargets.nowhere(device, layout)
    cells, goals = retarget(weight, np.ones((layout.row_tiles, 7)), device, layout, np.arange(11), kept)
    assert kept.array.dtype == np.uint8 and not np.isnan(kept.siemens).any()
    assert sorted(cells) == list(range(kept.array.size))
    assert kept.siemens.reshape(-1)[cells].tobytes() == goals.tobytes() == kept.of(cells).tobytes()
    if layout.spec.references:
        middle = kept.siemens[:, :, np.unique(layout.reference_of)]
        assert (middle == device.g_min + 0.5 * device.window).all()


def test_what_a_file_says_of_other_hardware_is_refused() -> None:
    kept = KeptTargets.nowhere(MILO.device, layout_of())
    with pytest.raises(MappingError, match="w: target is float64 .* its hardware has uint8"):
        kept.take(kept.siemens, "w: target")
    with pytest.raises(MappingError, match="w: target names levels that its hardware does not have"):
        kept.take(np.full_like(kept.array, 9), "w: target")
    kept.take(np.full_like(kept.array, 8), "w: target")
    assert (kept.siemens == MILO.device.g_max).all()
