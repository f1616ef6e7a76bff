"""Pairs about the middle of the window: G+ = g_min + window (1 + f) / 2, G- = g_min + window (1 - f) / 2."""

from __future__ import annotations

from crossbar_sim.hardware.schemes.base import BOTH_CELLS, Scheme

two_sided = Scheme(
    name="two_sided",
    shown="two-sided pairs",
    sides=2,
    references=0,
    one_sided=False,
    pulsed=BOTH_CELLS,
    update_range=2.0,
)
