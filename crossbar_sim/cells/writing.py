"""One write of cells on several threads, and the same write again on a copy of the cells as they were."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.compiled import row_work
from crossbar_sim.cells.compiled.arguments import CellState, Method, Request, Results
from crossbar_sim.cells.compiled.program import program_cells, pulse_cells
from crossbar_sim.cells.written import CellLists, Floats
from crossbar_sim.devices import DeviceModel
from crossbar_sim.devices.laws import NO_SPREAD, SpreadLaw
from crossbar_sim.runtime.threads import side_by_side

LEAST_CELLS, MOST_PARTS = 4096, 8
"""Written cells that are worth a thread of their own; into how many parts a write is cut at most. Sums are added up
part by part, however many threads there are."""
no_lists = CellLists.empty(np.empty(0), 0)


@dataclass(frozen=True)
class Write:
    """Pulses for some cells: what is asked, the law of the pulses, and how cells are led to targets.

    rows: of the last two axes of the cells; method: None where blind pulses are asked for.
    """

    request: Request
    law: Any
    method: Any
    rows: int

    @property
    def parts(self) -> int:
        """Into how many parts the write is cut."""
        return max(1, min(self.request.cells.size // LEAST_CELLS, MOST_PARTS))

    def run(self, state: CellState, before: Floats, writes_before: NDArray[np.uint32], lists: CellLists) -> Floats:
        """Change `state`; fill `before`, `writes_before` and `lists`; returns the work of the rows, part by part."""
        request = self.request
        column_arrays = -(-request.columns // request.array_columns)
        work = np.zeros((self.parts, self.rows, column_arrays, row_work.FIELDS))
        results = Results(before, writes_before, work, lists)
        side_by_side(partial(self._run_part, state, results), self.parts)
        return work

    def _run_part(self, state: CellState, results: Results, part: int) -> None:
        count = self.request.cells.size
        begin, end = count * part // self.parts, count * (part + 1) // self.parts
        own = results._replace(work=results.work[part])
        if self.method is None:
            pulse_cells(begin, end, self.request, state, self.law, own)
        else:
            program_cells(begin, end, self.request, state, self.law, own, self.method)

    def replay(self, state: CellState, before: Floats, writes_before: NDArray[np.uint32]) -> CellLists:
        """What the write did to each cell, of cells like those of `state` that stood at `before`."""
        lists = CellLists.empty(before, self.request.cells.size)
        copy = CellState(
            conductance=np.zeros_like(state.conductance),
            present=np.zeros_like(state.present),
            writes=np.zeros_like(state.writes),
            pulses=np.zeros_like(state.pulses),
            conductance_travel=np.zeros_like(state.conductance_travel),
            written_at=np.zeros_like(state.written_at),
            stuck=state.stuck,
            device_to_device=state.device_to_device,
        )
        copy.present[self.request.cells] = before
        copy.writes[self.request.cells] = writes_before
        self.run(copy, np.empty_like(before), np.empty_like(writes_before), lists)
        return lists


def programming_method(device: DeviceModel) -> Method:
    """How a device leads its cells to targets."""
    published, ispp = device.programming_error, device.incremental_amplitude
    error = NO_SPREAD
    if not device.programs_exactly:
        error = SpreadLaw(1.0, np.zeros(1), 1.0) if published is None else published.numbers
    return Method(
        error=error,
        ispp=None if ispp is None else ispp.numbers,
        closed_loop=device.programming != "open_loop",
        erase_first=device.programming == "erase_write_verify",
    )
