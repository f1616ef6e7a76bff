"""What the pulsed outer product costs: cells conduct as their pulses say, lines are charged as their trains say."""

from __future__ import annotations

from crossbar_sim.cells.pulse_trains import PulseTrains
from crossbar_sim.cells.written import Written
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.compiled import line_charges
from crossbar_sim.ledger.write_costs import WriteCounts
from crossbar_sim.mapping.layout import Layout


def count_update(hardware: Hardware, result: Written, trains: PulseTrains, layout: Layout) -> WriteCounts:
    """Counts of one batch: every row and column of every tile is driven at once, samples follow one another.

    A sample has a phase for the rows with a positive input and one for those with a negative one, if there are any,
    since a column carries one polarity for all rows at a time. Each phase has the sample's slots, each as long as the
    longer pulse. A row's line is charged in every slot in which its train has a pulse; a column's in every phase too,
    to the voltage of the pulse that its cells would take (of a pair, one column for SET and one for RESET).
    """
    device = hardware.device
    row_pulses, driven, slots, rising, falling = line_charges(trains.rows, trains.columns, trains.slots)
    if layout.spec.sides == 2:
        rising = falling = rising + falling
    cells, set_pulses, reset_pulses, set_energy, reset_energy, *_ = result.sums.sum(axis=(0, 1)).tolist()
    return WriteCounts(
        cells=int(cells),
        set_pulses=int(set_pulses),
        reset_pulses=int(reset_pulses),
        verify_reads=0,
        word_line_slots=row_pulses * layout.column_tiles,
        rows=driven * layout.column_tiles,
        set_energy=set_energy,
        reset_energy=reset_energy,
        verify_cell_energy=0.0,
        squared_volts=rising * device.set_voltage**2 + falling * device.reset_voltage**2,
        time=slots * max(device.pulse_width, device.reset_width),
    )
