"""One cell against a reference: G = g_min + window (1 + f) / 2, less one cell per row at the middle of the window."""

from __future__ import annotations

from crossbar_sim.hardware.schemes.base import ONE_CELL, Scheme

offset = Scheme(
    name="offset",
    shown="cells and references",
    sides=1,
    references=1,
    one_sided=False,
    pulsed=ONE_CELL,
    update_range=2.0,
)
