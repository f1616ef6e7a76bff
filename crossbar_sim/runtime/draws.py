"""Who owns which random draw of a write: counters within the DRAWS_PER_WRITE of each write of a cell."""

from __future__ import annotations

DRAWS_PER_WRITE = 1024
"""Counter stride. Draw 0 is where a write ends around its target; pulses use the draws 1 to 751."""
TELEGRAPH_DRAW, RETENTION_DRAW = 1019, 1020
"""Whether a cell has a trap, and how it drifts: drawn anew with every write."""
DEVICE_TO_DEVICE_DRAW = 1021
LIFETIME_DRAW = 1022
FAULT_DRAW = 1023
"""What a cell is born with: its step relative to the device's, its lifetime, its fault; within its first write."""
