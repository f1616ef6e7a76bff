"""The slow twin of the programming kernels: one cell, one pulse after the other, as DeviceModel states it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from crossbar_sim import DeviceModel
from crossbar_sim.devices.pulse_response.base import Steps
from crossbar_sim.runtime.counter_random import Key, normal_pair


@njit
def pair(cell: int, draw: int, k0: int, k1: int) -> tuple[float, float]:
    return normal_pair(np.uint32(cell), np.uint32(draw), np.uint32(k0), np.uint32(k1))


@dataclass
class Slow:
    """One cell and what was done to it."""

    device: DeviceModel
    g: float
    factor: float
    stuck: bool
    sets: int = 0
    resets: int = 0
    reads: int = 0
    set_energy: float = 0.0
    reset_energy: float = 0.0
    verify_energy: float = 0.0
    conductance_travel: float = 0.0
    squared: float = 0.0

    def to(self, after: float, rising: bool, voltage: float) -> None:
        device = self.device
        after = self.g if self.stuck else after
        middle = 0.5 * (self.g + after)
        current = voltage * middle / (1 + middle * device.access_resistance)
        if rising:
            if device.set_compliance_voltage is not None:
                current = min(current, device.set_compliance_voltage * middle)
            self.set_energy += voltage * current * device.pulse_width
            self.sets += 1
        else:
            self.reset_energy += voltage * current * device.reset_width
            self.resets += 1
        self.conductance_travel += abs(after - self.g)
        self.squared += voltage**2
        self.g = after

    def pulse(self, rising: bool, z: float, run: int = 0) -> None:
        """One pulse after `run` others of its polarity; z: its normal number."""
        device = self.device
        distance = self.g - device.g_min if rising else device.g_max - self.g
        mean = step(device.steps(not rising), distance)
        voltage, ispp = device.set_voltage if rising else device.reset_voltage, device.incremental_amplitude
        if ispp is not None:
            start = ispp.set_start if rising else ispp.reset_start
            stop = ispp.set_stop if rising else ispp.reset_stop
            raised = min(start + run * ispp.increment, stop)
            mean *= math.exp((raised - voltage) / ispp.growth_voltage)
            voltage = raised
        least = -math.inf if device.pulses_may_reverse else 0.0
        window_spread = (device.cycle_to_cycle_window or 0.0) * device.window
        move = self.factor * mean * max(1 + device.cycle_to_cycle * z, least) + window_spread * z
        after = self.g + move if rising else self.g - move
        self.to(min(max(after, min(self.g, device.g_min)), max(self.g, device.g_max)), rising, voltage)


def step(steps: Steps, distance: float) -> float:
    mean = steps.step + steps.rate * (steps.reach - distance)
    return mean + steps.bulge * math.exp(-steps.fall * distance) if steps.bulge else mean


def pulses_between(steps: Steps, distance: float, goal: float) -> int:
    goal, pulses = min(goal, steps.end), 0
    if steps.bulge:
        while goal - distance > 0.5 * step(steps, distance):
            distance, pulses = distance + step(steps, distance), pulses + 1
        return pulses
    if goal <= distance:
        return 0
    if steps.rate == 0:
        return round((goal - distance) / steps.step)
    return round(math.log((steps.reach - distance) / (steps.reach - goal)) / -math.log1p(-steps.rate))


@dataclass(frozen=True)
class Cell:
    """A cell before a write: its number, siemens, writes so far, steps relative to the device's, and whether stuck."""

    number: int
    start: float
    writes: int
    factor: float
    stuck: bool

    def normals(self, key: Key) -> Callable[[int], tuple[float, float]]:
        """Two normal numbers by the number of the draw."""
        return lambda draw: pair(self.number, self.writes * 1024 + draw, int(key[0]), int(key[1]))

    def slow(self, device: DeviceModel) -> Slow:
        return Slow(device, self.start, self.factor, self.stuck)


def program(device: DeviceModel, cell: Cell, goal: float, key: Key, sense: float) -> Slow:
    """One write to `goal`, in the device's way of programming."""
    one, draw = cell.slow(device), cell.normals(key)
    if device.programming == "open_loop":
        open_loop(one, goal, draw)
    else:
        write_verify(one, goal, draw, sense)
    if not cell.stuck:
        exact = device.programs_exactly
        sigma = 0.0 if device.programming_error is None else float(device.programming_error(np.array([goal]))[0])
        middle = goal if exact or device.programming != "open_loop" else one.g
        one.g = middle if exact else max(middle + sigma * draw(0)[0], 0.0)
    return one


def write_verify(one: Slow, goal: float, draw: Callable[[int], tuple[float, float]], sense: float) -> None:
    device = one.device
    run = 0
    last = None
    assert device.verify_acceptance is not None
    erased = device.programming == "erase_write_verify" and one.g > device.g_min + device.verify_acceptance
    if erased:
        one.to(device.g_min, False, device.reset_voltage)
    while True:
        one.verify_energy += device.read_voltage**2 * one.g * device.read_time + sense
        one.reads += 1
        done = one.sets + one.resets
        if abs(one.g - goal) <= device.verify_acceptance or done >= device.max_pulses:
            return
        rising = one.g < goal
        run = run + 1 if rising == last else 0
        last = rising
        drawn = done - erased
        one.pulse(rising, draw(1 + drawn // 2)[drawn % 2], run)


def open_loop(one: Slow, goal: float, draw: Callable[[int], tuple[float, float]]) -> None:
    device = one.device
    start = one.g
    rising = goal >= one.g
    if rising:
        count = pulses_between(device.steps(), start - device.g_min, goal - device.g_min)
    else:
        count = pulses_between(device.steps(reset=True), device.g_max - start, device.g_max - goal)
    for _ in range(count):
        one.pulse(rising, 0.0)
    if count and not one.stuck:
        window_spread = (device.cycle_to_cycle_window or 0.0) * device.window * math.sqrt(count)
        spread = device.cycle_to_cycle * abs(one.g - start) / math.sqrt(count) + window_spread
        one.g = min(max(one.g + spread * draw(1)[0], device.g_min), device.g_max)


def train(device: DeviceModel, cell: Cell, pulses: int, key: Key) -> Slow:
    """|pulses| blind pulses, SET where pulses > 0."""
    one, draw = cell.slow(device), cell.normals(key)
    for number in range(abs(pulses)):
        one.pulse(pulses > 0, draw(1 + number // 2)[number % 2])
    return one
