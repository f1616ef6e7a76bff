"""What of a file of streams is run, and on which hardware."""

from __future__ import annotations

from benchmarks.streams.comparison import StreamComparison
from crossbar_sim import Hardware, SpecError
from crossbar_sim.devices.laws import Lifetime
from crossbar_sim.spec.spec import ASSUMPTION, nearest

LIFETIME = Lifetime(
    distribution="log_normal",
    shape=0.3,
    source=ASSUMPTION,
    where="a spread of lifetimes that the run was asked to assume",
    kind="assumed",
)
"""Where the device states no lifetime of single cells: half fail before the endurance, two thirds within 0.74 and 1.35
times it."""


def choose(
    comparison: StreamComparison,
    *,
    tasks: int | None = None,
    methods: tuple[str, ...] = (),
    hardware: str | None = None,
    quick: bool = False,
    rounds: int | None = None,
    until_failure: float | None = None,
    endurance: float | None = None,
) -> StreamComparison:
    """The streams as they were asked for; None and nothing: as they stand. SpecError names what is not there."""
    if methods:
        known = list(dict.fromkeys(method.name for method in comparison.methods))
        for name in methods:
            if name not in known:
                raise SpecError(f"methods: the file has no '{name}'{nearest(name, known)}")
        comparison = comparison.replace(methods=tuple(one for one in comparison.methods if one.name in methods))
    if hardware is not None:
        comparison = comparison.replace(hardware=Hardware.load(hardware))
    if quick:
        comparison = comparison.quickened()
    if tasks is not None:
        comparison = comparison.with_tasks(tasks)
    if rounds is not None:
        comparison = comparison.replace(rounds=rounds)
    if until_failure is not None:
        comparison = comparison.replace(until_failure=until_failure)
    if endurance is not None:
        comparison = comparison.replace(hardware=with_endurance(comparison.hardware, endurance))
    return comparison


def with_endurance(hardware: Hardware, writes: float) -> Hardware:
    """The design with cells that live for about so many writes; its name and its numbers say what was changed."""
    device = hardware.device
    lifetime = LIFETIME if device.lifetime is None else device.lifetime
    return hardware.replace(device=device.replace(endurance=writes, lifetime=lifetime))
