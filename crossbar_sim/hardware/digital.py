"""The digital periphery: arithmetic by precision, and memories: energy per operation, word or bit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from crossbar_sim.hardware.technology import ARITHMETIC_45NM
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import SourcedSpec
from crossbar_sim.spec.units import Joule

NonNegative = Field(ge=0)
BITS = {"float32": 32, "float16": 16, "int8": 8}


class ActivationMemory(SourcedSpec):
    """The memory of what training keeps between forward and backward: joule per word of `word_bits`, `capacity` in
    bytes. Its area and leakage belong to a component of the architecture."""

    read: Annotated[Joule, NonNegative]
    write: Annotated[Joule, NonNegative]
    word_bits: Annotated[int, Field(ge=1, le=65_536)] = 32
    capacity: Annotated[int, Field(ge=1, le=2**50)]


class Digital(SourcedSpec):
    """Energies of digital operations beside the tiles.

    add, multiply: of float32 operations; `precision` is that of the arithmetic that is billed (what is computed stays
    float32): its energy is in proportion to the float32 one as at 45 nm (technology.ARITHMETIC_45NM). sram_read,
    sram_write: 32-bit words of trained values and optimiser state. dram: joule per bit read or written. Without
    `activation_memory` and `dram` the activations that training keeps cost nothing.
    """

    sram_read: Annotated[Joule, NonNegative]
    sram_write: Annotated[Joule, NonNegative]
    add: Annotated[Joule, NonNegative]
    multiply: Annotated[Joule, NonNegative]
    shift_add: Annotated[Joule, NonNegative]
    precision: Literal["float32", "float16", "int8"] = "float32"
    activation_memory: ActivationMemory | None = None
    dram: Annotated[Joule, NonNegative] | None = None

    @property
    def add_energy(self) -> float:
        """Joule of one addition at `precision`."""
        return self.add * self._relative("add")

    @property
    def multiply_energy(self) -> float:
        """Joule of one multiplication at `precision`."""
        return self.multiply * self._relative("multiply")

    def _relative(self, operation: str) -> float:
        return ARITHMETIC_45NM[f"{self.precision} {operation}"] / ARITHMETIC_45NM[f"float32 {operation}"]

    @property
    def keeps_activations(self) -> bool:
        """Whether activations kept for the backward pass have a memory, and so a price."""
        return self.activation_memory is not None or self.dram is not None

    def activation_terms(self, values: int, access: Literal["read", "write"]) -> list[tuple[str, int, float]]:
        """(component, events, joule) of reading or writing the `values` activations of one step, once.

        Words of the activation memory as far as they fit, bits of DRAM beyond. Raises SpecError where neither holds
        them.
        """
        bits = values * BITS[self.precision]
        memory = self.activation_memory
        terms: list[tuple[str, int, float]] = []
        if memory is not None:
            held = min(bits, 8 * memory.capacity)
            words = -(-held // memory.word_bits)
            terms.append(("activation memory", words, words * (memory.read if access == "read" else memory.write)))
            bits -= held
        if self.dram is not None and bits:
            terms.append(("DRAM", bits, bits * self.dram))
        elif memory is not None and bits:
            raise SpecError(
                f"the activations that a training step keeps do not fit into activation_memory: {bits // 8} bytes "
                f"beyond its {memory.capacity}; enlarge its capacity, state digital.dram (J per bit), or take a "
                "smaller batch"
            )
        return terms
