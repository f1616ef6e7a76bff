"""Compiled programming of cells by write-verify, open loop or blind pulses."""

from __future__ import annotations

import numpy as np

from crossbar_sim.cells.compiled.lanes import CHUNK, DONE, ROWS, draw_pairs, pulse_until_done
from crossbar_sim.cells.compiled.row_work import add_cells, verify_joule
from crossbar_sim.devices.compiled import pulses_between, spread_of
from crossbar_sim.runtime.compiling import entry, part
from crossbar_sim.runtime.draws import DRAWS_PER_WRITE

MOST_PULSES = 1500  # of one train: pulses use the draws 1 to 751 of a write


@part
def _look(cells, state, stuck, pace, was, old, counter, paces):
    """Note the present conductance of cells, their writes and paces, and the counters of this write: (cell, draw)."""
    present, writes = state[1], state[2]
    for i in range(cells.size):
        was[i], old[i] = present[cells[i]], np.uint32(writes[cells[i]])
        counter[0, i], counter[1, i] = np.uint32(cells[i]), old[i] * np.uint32(DRAWS_PER_WRITE)
        own = pace[cells[i]] if pace.size else 1.0
        paces[i] = 0.0 if stuck.size and stuck[cells[i]] else own


@part
def _list(cells, done, start, verified, erased, law, present, lists):
    """What was done to cells, into the lists from entry `start` on; with `verified` pulses there is a read before each,
    other than an erasing one, and one after the last."""
    sets, pulses, set_joule, reset_joule, seen, swing, _, _ = done
    achieved, counts, joules, swings = lists
    for i in range(cells.size):
        resets, reads = pulses[i] - sets[i], pulses[i] + 1.0 - erased[i] if verified else 0.0
        achieved[start + i], swings[start + i] = present[cells[i]], swing[i]
        counts[0, start + i], counts[1, start + i], counts[2, start + i] = int(sets[i]), int(resets), int(reads)
        joules[0, start + i], joules[1, start + i] = set_joule[i], reset_joule[i]
        joules[2, start + i] = verify_joule(seen[i], reads, law)


@part
def _leave(cells, done, stuck, clock, state):
    """Leave cells as they are now, one write older; those that are stuck have not moved."""
    conductance, present, writes, all_pulses, moved, written_at = state
    _, pulses, _, _, _, swing, _, siemens = done
    for i in range(cells.size):
        cell = cells[i]
        if not (stuck.size and stuck[cell]):
            present[cell] = siemens[i]
        conductance[cell] = present[cell]
        writes[cell] += 1
        all_pulses[cell] += np.int64(pulses[i])
        moved[cell] += swing[i]
    if clock > 0.0:  # else all cells were written then, or never
        for i in range(cells.size):
            written_at[cells[i]] = clock


@part(error_model="numpy")
def _aim(was, goal, law, direction, most):
    """The open-loop train of each cell: which way, and as many pulses as the mean curve needs."""
    up = (law[6], law[7], law[8], law[21], law[22], law[23])
    down = (law[9], law[10], law[11], law[24], law[25], law[26])
    for i in range(was.size):
        rising = goal[i] >= was[i]
        gone, end = (was[i] - law[0], goal[i] - law[0]) if rising else (law[1] - was[i], law[1] - goal[i])
        most[i] = np.rint(pulses_between(up if rising else down, gone, end))
        direction[i] = np.inf if rising else -np.inf


@part(error_model="numpy")
def _end(done, was, goal, sigma, law, closed_loop, trained, relaxed):
    """Where the cells end: after an open-loop train as far beside its mean as trained[0] draws, then `sigma` (empty:
    exactly at the goal) around that or, in a closed loop, around the goal, as relaxed[0] draws, not below zero."""
    g_min, g_max, spread, window_spread = law[0], law[1], law[2], law[3]
    _, pulses, _, _, _, _, _, siemens = done
    for i in range(was.size):
        root = np.sqrt(max(pulses[i], 1.0))
        off = (spread * abs(siemens[i] - was[i]) / root + window_spread * root) * np.float64(trained[0, i])
        end = min(max(siemens[i] + off, g_min), g_max) if pulses[i] > 0.0 else was[i]
        siemens[i] = goal[i] if closed_loop else end
    for i in range(sigma.size):
        siemens[i] = max(siemens[i] + sigma[i] * np.float64(relaxed[0, i]), 0.0)
    if sigma.size == 0:
        for i in range(was.size):
            siemens[i] = goal[i]


@part
def _room(size):
    """Lanes, what was done and first counters, for chunks of at most `size` cells."""
    padded = size + 8  # rows of `done` a multiple of 4096 bytes apart would wait for each other
    return np.empty(ROWS, np.float32), np.empty((DONE, padded)), np.empty((2, size), np.uint32)


@part
def _rows(done, count):
    """The rows of `done`, by the names of `lanes`, of so many cells."""
    return (
        done[0, :count],
        done[1, :count],
        done[2, :count],
        done[3, :count],
        done[4, :count],
        done[5, :count],
        done[6, :count],
        done[7, :count],
    )


@entry(nogil=True)
def program_cells(
    begin,
    end,
    cells,
    target,
    stuck,
    pace,
    law,
    key,
    clock,
    state,
    columns,
    array_columns,
    before,
    old,
    work,
    lists,
    error,
    stairs,
    closed_loop,
    erase_first,
):
    """Program cells number `begin` to `end` of `cells` (flat indices) to `target`, siemens.

    A `stuck` cell takes its pulses and does not move; `pace` multiplies the cell's steps (both per cell of the array,
    or empty: none, one). `law` is `DeviceModel.law`. error: (conductance scale, coefficients, sigma scale) of the
    published spread of the final state around its target, as in `laws.ConductancePolynomial` (no coefficients: the
    target is reached exactly); it contains what the stopping rule leaves. Open-loop pulses add it to where they end.
    stairs: None or the numbers of an incremental amplitude. state: conductance, present, writes, pulses, swing and
    written_at of all cells, updated; the cells lie in rows of `columns`, cut into arrays of `array_columns`.
    Results: before, siemens, and old, writes so far, per entry of `cells`; work (rows, column arrays, FIELDS of
    `row_work`), added to; lists, per entry of `cells` or empty: achieved, siemens; counts (3,) of SET pulses, RESET
    pulses, verify reads; their joules (3,); swing, siemens.
    """
    size, small = min(end - begin, CHUNK), law.astype(np.float32)
    lanes, done, first = _room(size)
    trained, relaxed = np.zeros((2, size), np.float32), np.zeros((2, size), np.float32)
    paces, goals, most = np.empty(size), np.empty(size), np.full(size, law[5])
    erased, relative, sigmas = np.zeros(size, np.bool_), np.empty(size), np.empty(size if error[1].size else 0)
    for start in range(begin, end, CHUNK):
        stop = min(start + CHUNK, end)
        count = stop - start
        some, goal, was = cells[start:stop], target[start:stop], before[start:stop]
        _look(some, state, stuck, pace, was, old[start:stop], first, paces)
        if closed_loop:
            goals[:count] = goal
            if erase_first:
                erased[:count] = was > law[0] + law[4]
        else:
            _aim(was, goal, law, goals, most)
        chunk = (first, was, goals, most, paces, erased)
        pulse_until_done(chunk, small, stairs, closed_loop, key, lanes, done)
        rows = _rows(done, count)
        if not closed_loop:
            draw_pairs(first, count, np.uint32(1), key[0], key[1], trained)
        if sigmas.size:
            spread_of(goal, error[0], error[1], error[2], relative, sigmas[:count])
            draw_pairs(first, count, np.uint32(0), key[0], key[1], relaxed)
        _end(rows, was, goal, sigmas[:count], law, closed_loop, trained, relaxed)
        _leave(some, rows, stuck, clock, state)
        add_cells(some, rows, erased, closed_loop, stairs is not None, law, columns, array_columns, work)
        if lists[0].size:
            _list(some, rows, start, closed_loop, erased, law, state[1], lists)


@entry(nogil=True)
def pulse_cells(
    begin, end, cells, trains, stuck, pace, law, key, clock, state, columns, array_columns, before, old, work, lists
):
    """Give cells number `begin` to `end` of `cells` |trains| blind pulses each, SET where trains > 0, else RESET.

    A pulse moves the cell by its mean step at the cell's state, times `pace`, with the spread of single pulses; no
    pulse leaves the window, and none moves a `stuck` cell. Arguments and results as in `program_cells`.
    """
    size, small = min(end - begin, CHUNK), law.astype(np.float32)
    lanes, done, first = _room(size)
    paces, direction, most, never = np.empty(size), np.empty(size), np.empty(size), np.zeros(size, np.bool_)
    for start in range(begin, end, CHUNK):
        stop = min(start + CHUNK, end)
        some, was = cells[start:stop], before[start:stop]
        _look(some, state, stuck, pace, was, old[start:stop], first, paces)
        for i in range(stop - start):
            train = trains[start + i]
            direction[i], most[i] = np.inf if train > 0 else -np.inf, abs(train)
        pulse_until_done((first, was, direction, most, paces, never), small, None, True, key, lanes, done)
        rows = _rows(done, stop - start)
        siemens = rows[7]
        for i in range(stop - start):  # the ends of the window as they are in float64
            siemens[i] = min(max(siemens[i], min(was[i], law[0])), max(was[i], law[1]))
        _leave(some, rows, stuck, clock, state)
        add_cells(some, rows, never, False, False, law, columns, array_columns, work)
        if lists[0].size:
            _list(some, rows, start, False, never, law, state[1], lists)
