"""Reads whose conversions lose nothing: one product in place of all bits and slices."""

from __future__ import annotations

from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.reading.direction import Direction
from crossbar_sim.reading.programmed import Programmed


def is_lossless(hardware: Hardware, layout: Layout, transposed: bool) -> bool:
    """Whether the reads of bits and slices add up to one product: noise-free, and the ADC exact or every possible
    sum one of its codes (cells on their levels, without wires or drift, and codes enough for a whole tile)."""
    device = hardware.device
    tile = hardware.tile
    dac = hardware.dac
    adc = hardware.adc
    if device.reads_noisy or (layout.plain and dac.reads == 1):
        return False
    if adc.exact:
        return dac.exact or not (transposed and tile.references)
    levels, on_levels = hardware.cell_levels, hardware.cells_stay_on_levels
    counted = adc.codes == "flipped"  # references are taken off digitally, and lines of references never driven
    if levels is None or not on_levels or tile.wired or dac.exact or (tile.references and not counted):
        return False
    inputs = dac.steps if dac.reads == 1 else 1
    tile_inputs = layout.spec.plane_columns if transposed else tile.rows
    return adc.plain and adc.range == "granular" and tile_inputs * (levels - 1) * inputs <= adc.steps


def whole_product(direction: Direction) -> Programmed:
    """The cells of one direction with their slices and references put together."""
    layout = direction.layout
    hardware = direction.hardware
    parts = direction.programmed
    back = direction.transposed
    net = layout.net(direction.seen()[:, direction.row_of])
    current = hardware.device.read_voltage * (net.T if back else net)
    inputs, outputs = current.shape
    widths = (layout.spec.outputs, layout.spec.rows) if back else (layout.spec.rows, layout.spec.outputs)
    whole = Programmed.empty(inputs, outputs, *widths, noisy=False)
    lines = layout.column_of if back else slice(None)
    whole.current[:], whole.line_conductance[:] = current, parts.line_conductance[lines]
    whole.input_scale[:], whole.output_scale[:] = parts.input_scale[lines], parts.output_scale[:outputs]
    whole.tile_scale[:] = parts.tile_scale[:, :: layout.spec.slices]
    if hardware.cells_stay_on_levels and not hardware.tile.wired:
        levels = hardware.cell_levels or 0
        full = hardware.device.read_voltage * hardware.device.window * layout.full_scale
        whole.settle(full / (levels**layout.spec.slices - 1))
    return whole
