"""TileSpec: one physical array of cells, its lines and wires."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crossbar_sim.hardware.schemes import SCHEMES, Scheme, SchemeName
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import SourcedSpec
from crossbar_sim.spec.units import Farad, Ohm, One, SquareMeter

MOST_LINES = 16_384
"""Rows or columns of one array."""
WIRE_RESISTANCES = ("word_line_resistance", "bit_line_resistance", "driver_resistance", "sense_resistance")


class TileSpec(SourcedSpec):
    """One physical array of cells: `rows` word lines by `columns` bit lines, the cells of a weight side by side.

    mapping: 'differential' (one-sided pairs), 'two_sided' (pairs about the middle of the window) or 'offset' (one
    cell, and a reference column in every tile); slices: cells or pairs that share the digits of a weight,
    `slice_bits` each (None: not sliced); pair_update: whether a change moves both cells of a two-sided pair or, where
    the window allows it, only one. scale: who shares the largest weight that the window can hold.
    word_line_resistance, bit_line_resistance: per segment between neighbouring cells; driver_resistance,
    sense_resistance: of each driving and each sensing circuit, in both directions of reading. double_sided: whatever
    is driven (word lines, in transposed reads bit lines) is driven at both ends by the same voltage.
    access = 'passive': no transistor at the cells; while one is written the others stand at a half or a third of the
    voltage (`half_select`). selector_nonlinearity: I(V) / I(V/2) of a passive cell, 2 for a resistor.
    """

    rows: Annotated[int, Field(ge=1, le=MOST_LINES)]
    columns: Annotated[int, Field(ge=2, le=MOST_LINES)]
    mapping: SchemeName = "differential"
    slices: Annotated[int, Field(ge=1, le=16)] = 1
    slice_bits: Annotated[int, Field(ge=1, le=8)] | None = None
    scale: Literal["column", "tile", "matrix"] = "column"
    pair_update: Literal["both", "one_side"] = "both"
    line_capacitance: Annotated[Farad, Field(ge=0)] = 0.0
    word_line_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    bit_line_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    driver_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    sense_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    double_sided: bool = False
    access: Literal["1T1R", "passive"] = "1T1R"
    half_select: Literal["V/2", "V/3"] = "V/2"
    selector_nonlinearity: Annotated[One, Field(ge=2)] = 2.0
    cell_area: Annotated[SquareMeter, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.slices > 1) != (self.slice_bits is not None):
            raise SpecError("TileSpec: slices > 1 and slice_bits go together; give both, or leave both out")
        if self.pair_update == "one_side" and (self.mapping != "two_sided" or self.slices > 1):
            raise SpecError(
                "TileSpec: pair_update = 'one_side' is for mapping = 'two_sided' without slices; "
                "one-sided pairs move one cell anyway"
            )
        if self.slices * (self.slice_bits or 1) > 16:
            raise SpecError(
                f"TileSpec: {self.slices} slices of {self.slice_bits} bits are more than the 16 bits of a weight; "
                "take fewer slices"
            )
        if self.outputs < 1:
            raise SpecError(
                f"TileSpec: {self.columns} columns hold no output: a weight takes {self.cells_per_weight} cells"
                f"{' and the references as many' * self.references}; widen the tile or take fewer slices"
            )
        return self

    @property
    def scheme(self) -> Scheme:
        """How a weight sits in cells."""
        return SCHEMES[self.mapping]

    @cached_property
    def sides(self) -> int:
        """Cells of one slice: a pair, or one against a reference."""
        return self.scheme.sides

    @cached_property
    def references(self) -> int:
        """Reference columns per slice in each tile."""
        return self.scheme.references

    @cached_property
    def cells_per_weight(self) -> int:
        """Cells that hold one weight, references apart."""
        return self.sides * self.slices

    @cached_property
    def outputs(self) -> int:
        """Outputs side by side in one tile."""
        return self.columns // self.cells_per_weight - self.references

    @cached_property
    def plane_columns(self) -> int:
        """Columns that one plane of cells has in one tile: its outputs and its reference, if it has one."""
        return self.outputs + self.references

    @cached_property
    def wired(self) -> bool:
        """Whether anything between drivers, cells and sense circuits has resistance."""
        return any(getattr(self, name) > 0 for name in WIRE_RESISTANCES)

    def __str__(self) -> str:
        sliced = f" in {self.slices} slices of {self.slice_bits} bit" if self.slice_bits is not None else ""
        return f"{self.rows} x {self.columns} cells, {self.scheme.shown}{sliced}, one scale per {self.scale}"

    def without_wires(self) -> Self:
        """A copy in which every cell sees the full line voltage."""
        return self.replace(**dict.fromkeys(WIRE_RESISTANCES, 0.0))
