"""The digital periphery: arithmetic by precision, and memories: energy and time per operation, word or bit."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from crossbar_sim.hardware.technology import ARITHMETIC_45NM
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import SourcedSpec
from crossbar_sim.spec.units import BitsPerSecond, Hertz, Joule

NonNegative = Field(ge=0)
Positive = Field(gt=0)
WORD_BITS = 32
"""Of an SRAM word, and of the values whose rates a DigitalUnit states."""
Precision = Literal["float32", "float16", "bfloat16", "int8"]
BITS: dict[Precision, int] = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8}


class DigitalWork(NamedTuple):
    """Work of one kind: its component in the ledger, events, joule and seconds."""

    component: str
    events: int
    energy: float
    time: float


class DigitalUnit(SourcedSpec):
    """How fast the chip computes beside its tiles: `units` alike share all digital work.

    add_rate, multiply_rate: float32 operations per second of one unit, whose adders and multipliers work side by side;
    a lane of 32 bits takes 32 / bits values of a narrower precision at once. memory_bandwidth: bits per second between
    one unit and SRAM or activation memory. dram_bandwidth: bits per second of the whole chip.
    """

    units: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    add_rate: Annotated[Hertz, Positive]
    multiply_rate: Annotated[Hertz, Positive]
    memory_bandwidth: Annotated[BitsPerSecond, Positive]
    dram_bandwidth: Annotated[BitsPerSecond, Positive] | None = None


class ActivationMemory(SourcedSpec):
    """The memory of what training keeps between forward and backward: joule per word of `word_bits`, `capacity` in
    bytes. Its area and leakage belong to a component of the architecture."""

    read: Annotated[Joule, NonNegative]
    write: Annotated[Joule, NonNegative]
    word_bits: Annotated[int, Field(ge=1, le=65_536)] = 32
    capacity: Annotated[int, Field(ge=1, le=2**50)]


class Digital(SourcedSpec):
    """Energies of digital operations beside the tiles, and with a `unit` their time.

    add, multiply: of float32 operations; `precision` is that of the arithmetic that is billed (what is computed stays
    float32): its energy is in proportion to the float32 one as at 45 nm (technology.ARITHMETIC_45NM). sram_read,
    sram_write: 32-bit words of trained values and optimiser state. dram: joule per bit read or written. Without
    `activation_memory` and `dram` the activations that training keeps cost nothing; without `unit` digital work takes
    no time.
    """

    unstated: ClassVar[frozenset[str]] = frozenset({"unit"})

    sram_read: Annotated[Joule, NonNegative]
    sram_write: Annotated[Joule, NonNegative]
    add: Annotated[Joule, NonNegative]
    multiply: Annotated[Joule, NonNegative]
    shift_add: Annotated[Joule, NonNegative]
    precision: Precision = "float32"
    activation_memory: ActivationMemory | None = None
    dram: Annotated[Joule, NonNegative] | None = None
    unit: DigitalUnit | None = None

    @model_validator(mode="after")
    def _dram_has_a_bandwidth(self) -> Self:
        if self.unit is not None and self.dram is not None and self.unit.dram_bandwidth is None:
            raise SpecError(
                "digital.dram has an energy but no time; state digital.unit.dram_bandwidth (bit/s), or leave "
                "digital.unit out: digital work then takes no time"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unstated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return self.stated(handler(self))

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

    def arithmetic(self, adds: int, multiplies: int) -> DigitalWork:
        """Operations, both kinds at once: t = max(adds / add_rate, multiplies / multiply_rate) bits / 32 / units."""
        joule, seconds = adds * self.add_energy + multiplies * self.multiply_energy, 0.0
        if self.unit is not None:
            slower = max(adds / self.unit.add_rate, multiplies / self.unit.multiply_rate)
            seconds = slower * BITS[self.precision] / (WORD_BITS * self.unit.units)
        return DigitalWork("arithmetic", adds + multiplies, joule, seconds)

    def sram(self, reads: int, writes: int) -> DigitalWork:
        """32-bit words of SRAM read and written, at the memory's bandwidth."""
        words = reads + writes
        joule = reads * self.sram_read + writes * self.sram_write
        return DigitalWork("SRAM", words, joule, self._memory_time(words * WORD_BITS))

    def _memory_time(self, bits: int) -> float:
        return 0.0 if self.unit is None else bits / (self.unit.memory_bandwidth * self.unit.units)

    def activations(self, values: int, access: Literal["read", "write"]) -> list[DigitalWork]:
        """Reading or writing the `values` activations of one step, once.

        Words of the activation memory as far as they fit, bits of DRAM beyond. Raises SpecError where neither holds
        them.
        """
        bits = values * BITS[self.precision]
        memory = self.activation_memory
        work: list[DigitalWork] = []
        if memory is not None:
            held = min(bits, 8 * memory.capacity)
            words = -(-held // memory.word_bits)
            joule = words * (memory.read if access == "read" else memory.write)
            work.append(DigitalWork("activation memory", words, joule, self._memory_time(words * memory.word_bits)))
            bits -= held
        if self.dram is not None and bits:
            bandwidth = None if self.unit is None else self.unit.dram_bandwidth
            work.append(DigitalWork("DRAM", bits, bits * self.dram, 0.0 if bandwidth is None else bits / bandwidth))
        elif memory is not None and bits:
            raise SpecError(
                f"the activations that a training step keeps do not fit into activation_memory: {bits // 8} bytes "
                f"beyond its {memory.capacity}; enlarge its capacity, state digital.dram (J per bit), or take a "
                "smaller batch"
            )
        return work
