"""One-sided pairs: G+ = g_min + window max(f, 0), G- = g_min + window max(-f, 0)."""

from __future__ import annotations

from crossbar_sim.hardware.schemes.base import CELL_OF_THE_SIGN, Scheme

differential = Scheme(
    name="differential",
    shown="differential pairs",
    sides=2,
    references=0,
    one_sided=True,
    pulsed=CELL_OF_THE_SIGN,
    update_range=1.0,
)
