"""Compiled programming of cells by write-verify, open loop or blind pulses."""

from __future__ import annotations

import numpy as np

from crossbar_sim.cells.compiled.arguments import Method
from crossbar_sim.cells.compiled.lanes import CHUNK, Chunk, done_cells, draw_pairs, pulse_until_done, room_for
from crossbar_sim.cells.compiled.row_work import add_cells, verify_joule
from crossbar_sim.cells.compiled.single import double, law_in, single
from crossbar_sim.devices.compiled import spread_of
from crossbar_sim.devices.pulse_response.compiled import pulses_between
from crossbar_sim.runtime.compiling import entry, part
from crossbar_sim.runtime.draws import DRAWS_PER_WRITE

MOST_PULSES = 1500  # of one train: pulses use the draws 1 to 751 of a write


@part
def _begin_write(cells, state, before, writes_before, counter, device_to_device):
    """Note where cells stand, their writes and steps, and the counters of this write: (cell, draw)."""
    for i in range(cells.size):
        before[i], writes_before[i] = state.present[cells[i]], np.uint32(state.writes[cells[i]])
        counter[0, i], counter[1, i] = np.uint32(cells[i]), writes_before[i] * np.uint32(DRAWS_PER_WRITE)
        own = state.device_to_device[cells[i]] if state.device_to_device.size else 1.0
        device_to_device[i] = 0.0 if state.stuck.size and state.stuck[cells[i]] else own


@part
def _list_cells(cells, done, start, closed_loop, erased, law, present, lists):
    """What was done to cells, into `lists` from entry `start` on."""
    for i in range(cells.size):
        resets = done.pulses[i] - done.set_pulses[i]
        reads = done.pulses[i] + 1.0 - erased[i] if closed_loop else 0.0
        lists.achieved[start + i] = present[cells[i]]
        lists.set_pulses[start + i] = int(done.set_pulses[i])
        lists.reset_pulses[start + i] = int(resets)
        lists.verify_reads[start + i] = int(reads)
        lists.set_energy[start + i] = done.set_joule[i]
        lists.reset_energy[start + i] = done.reset_joule[i]
        lists.verify_energy[start + i] = verify_joule(done.seen[i], reads, law)
        lists.conductance_travel[start + i] = done.conductance_travel[i]


@part
def _end_write(cells, done, clock, state):
    """Put cells where their write has left them, one write older; those that are stuck have not moved."""
    for i in range(cells.size):
        cell = cells[i]
        if not (state.stuck.size and state.stuck[cell]):
            state.present[cell] = done.siemens[i]
        state.conductance[cell] = state.present[cell]
        state.writes[cell] += 1
        state.pulses[cell] += np.int64(done.pulses[i])
        state.conductance_travel[cell] += done.conductance_travel[i]
    if clock > 0.0 and state.written_at.size > 0:  # else all cells were written then, or never
        for i in range(cells.size):
            state.written_at[cells[i]] = clock


@part(error_model="numpy")
def _plan_trains(before, goal, law, direction, most_pulses):
    """The open-loop train of each cell: which way, and as many pulses as the mean curve needs."""
    for i in range(before.size):
        rising = goal[i] >= before[i]
        steps = law.up.steps if rising else law.down.steps
        distance, end = (
            (before[i] - law.g_min, goal[i] - law.g_min) if rising else (law.g_max - before[i], law.g_max - goal[i])
        )
        most_pulses[i] = np.rint(pulses_between(steps, distance, end))
        direction[i] = np.inf if rising else -np.inf


@part(error_model="numpy")
def _settle(done, before, goal, sigma, law, closed_loop, normal):
    """Where the cells end: after an open-loop train as far beside its mean as the first of `normal` draws, then
    `sigma` (empty: exactly at the goal) around that or, in a closed loop, around the goal, as the second draws, not
    below zero."""
    siemens = done.siemens
    of_train, of_end = normal
    for i in range(before.size):
        pulses = done.pulses[i]
        root = np.sqrt(max(pulses, 1.0))
        spread = law.cycle_to_cycle * abs(siemens[i] - before[i]) / root + law.window_spread * root
        off = spread * np.float64(of_train[0, i])
        end = min(max(siemens[i] + off, law.g_min), law.g_max) if pulses > 0.0 else before[i]
        siemens[i] = goal[i] if closed_loop else end
    for i in range(sigma.size):
        siemens[i] = max(siemens[i] + sigma[i] * np.float64(of_end[0, i]), 0.0)
    if sigma.size == 0:
        for i in range(before.size):
            siemens[i] = goal[i]


@entry(nogil=True)
def program_cells(begin, end, request, state, laws, results, method):
    """Program cells number `begin` to `end` of a request to their targets, siemens.

    request: `Request`; state: `CellState`, updated; laws: `pulse_law.record_of` the device's; results: `Results`,
    filled; method: `Method`.
    """
    size, law = min(end - begin, CHUNK), law_in(laws[0], double)
    small = law_in(law, single)
    lanes = room_for(size)
    counter, factors = np.empty((2, size), np.uint32), np.empty(size)
    of_train, of_end = np.zeros((2, size), np.float32), np.zeros((2, size), np.float32)
    goals, most_pulses = np.empty(size), np.full(size, law.most_pulses)
    error = method.error
    erased, relative = np.zeros(size, np.bool_), np.empty(size)
    sigmas = np.empty(size if error.coefficients.size else 0)
    for start in range(begin, end, CHUNK):
        stop = min(start + CHUNK, end)
        count = stop - start
        cells = request.cells[start:stop]
        goal = request.wanted[start:stop]
        before = results.before[start:stop]
        _begin_write(cells, state, before, results.writes_before[start:stop], counter, factors)
        if method.closed_loop:
            goals[:count] = goal
            if method.erase_first:
                erased[:count] = before > law.g_min + law.acceptance
        else:
            _plan_trains(before, goal, law, goals, most_pulses)
        chunk = Chunk(counter, before, goals, most_pulses, factors, erased)
        pulse_until_done(chunk, small, method.ispp, method.closed_loop, request.key, lanes)
        done = done_cells(lanes, count)
        if not method.closed_loop:
            draw_pairs(counter, count, np.uint32(1), request.key, of_train)
        if sigmas.size:
            spread_of(goal, error, relative, sigmas[:count])
            draw_pairs(counter, count, np.uint32(0), request.key, of_end)
        _settle(done, before, goal, sigmas[:count], law, method.closed_loop, (of_train, of_end))
        _end_write(cells, done, request.clock, state)
        add_cells(request, cells, done, erased, method, law, results.work)
        if results.lists.achieved.size:
            _list_cells(cells, done, start, method.closed_loop, erased, law, state.present, results.lists)


@entry(nogil=True)
def pulse_cells(begin, end, request, state, laws, results):
    """Give cells number `begin` to `end` of a request their blind pulses.

    A pulse moves the cell by its mean step at the cell's state, times `device_to_device`, with the spread of single
    pulses; no pulse leaves the window, and none moves a stuck cell. Arguments as of `program_cells`.
    """
    size = min(end - begin, CHUNK)
    law = law_in(laws[0], double)
    small = law_in(law, single)
    blind = Method(None, None, False, False)
    lanes = room_for(size)
    counter, factors = np.empty((2, size), np.uint32), np.empty(size)
    direction = np.empty(size)
    most_pulses = np.empty(size)
    never = np.zeros(size, np.bool_)
    for start in range(begin, end, CHUNK):
        stop = min(start + CHUNK, end)
        cells, before = request.cells[start:stop], results.before[start:stop]
        _begin_write(cells, state, before, results.writes_before[start:stop], counter, factors)
        for i in range(stop - start):
            train = request.wanted[start + i]
            direction[i], most_pulses[i] = np.inf if train > 0 else -np.inf, abs(train)
        chunk = Chunk(counter, before, direction, most_pulses, factors, never)
        pulse_until_done(chunk, small, None, True, request.key, lanes)
        done = done_cells(lanes, stop - start)
        siemens = done.siemens
        for i in range(stop - start):  # the ends of the window as they are in float64
            siemens[i] = min(max(siemens[i], min(before[i], law.g_min)), max(before[i], law.g_max))
        _end_write(cells, done, request.clock, state)
        add_cells(request, cells, done, never, blind, law, results.work)
        if results.lists.achieved.size:
            _list_cells(cells, done, start, False, never, law, state.present, results.lists)
