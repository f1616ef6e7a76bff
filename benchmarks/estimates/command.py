"""What `xbar estimate` computes and prints."""

from __future__ import annotations

from typing import Any

from benchmarks.estimates.estimate import Workload, estimate
from crossbar_sim import SpecError
from crossbar_sim.counting.activity import Activity
from crossbar_sim.spec.units import engineering
from peft_methods import METHODS

UNITS = {"J": "J", "s": "s", "m2": "m²"}


def estimate_record(
    model: str,
    method: str,
    hardware: str,
    *,
    placement: str | None,
    steps: int | None,
    batch: int | None,
    tokens: int | None,
    inferences: int,
    changed_share: float,
) -> dict[str, Any]:
    """The record of `estimate` for the options of the command line."""
    if placement is not None and method in METHODS and "placement" not in METHODS[method].model_fields:
        choices = [name for name, kind in METHODS.items() if "placement" in kind.model_fields]
        raise SpecError(f"{method} has no placement to choose; {', '.join(choices)} have")
    return estimate(
        model,
        method,
        hardware,
        {} if placement is None else {"placement": placement},
        workload=Workload(steps=steps, batch=batch, tokens=tokens, inferences=inferences),
        activity=Activity(changed_share=changed_share),
    )


def datasheet(record: dict[str, Any]) -> str:
    """One line per number, with its unit; groups on one line, zeros left out."""
    return "\n".join(f"{key:<28}{_shown(key, value)}" for key, value in record.items())


def _shown(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(key, part)}" for name, part in value.items() if part) or "0"
    unit = UNITS.get(key.rpartition("_")[2])
    if unit is not None and value is not None:
        return engineering(value, unit)
    return f"{value:,}" if isinstance(value, int | float) else str(value)
