"""DigitalOperations: the matrix products that torch computes outside the tiles, counted and billed."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from crossbar_sim.chip.interface import AnyChip, TiledChip
from peft_methods.placement import bill_arithmetic


class DigitalOperations:
    """Bills the matrix products that torch computes outside the tiles (attention, head, SRAM adapters).

    The first batch of each kind is watched; later batches are billed per sample. Nothing happens on a chip without
    tiles.
    """

    def __init__(self, chip: AnyChip) -> None:
        self.chip = chip
        self.active = isinstance(chip, TiledChip)
        self.per_sample: dict[str, float] = {}

    def __call__(self, kind: str, samples: int) -> _Counting:
        return _Counting(self, kind, samples)


class _Counting:
    def __init__(self, operations: DigitalOperations, kind: str, samples: int) -> None:
        self.operations = operations
        self.kind = kind
        self.samples = samples
        self.counter: ProductCounter | None = None

    def __enter__(self) -> None:
        if self.operations.active and self.kind not in self.operations.per_sample:
            self.counter = ProductCounter()
            self.counter.__enter__()

    def __exit__(self, *error: object) -> None:
        per_sample = self.operations.per_sample
        if self.counter is not None:
            self.counter.__exit__(*error)
            per_sample[self.kind] = self.counter.operations / 2 / self.samples
        if self.operations.active:
            products = round(per_sample[self.kind] * self.samples)
            bill_arithmetic(self.operations.chip, "digital layers", adds=products, multiplies=products)


class ProductCounter(TorchDispatchMode):
    """`operations`: multiplications and additions of the products inside, by the formulas of torch's own counter.

    That counter also tells modules apart, which costs more than the products of a small model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self._whole: set[Any] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """A hook of torch: no, for nothing is compiled here, and skipping imports the compiler."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None and func not in self._whole:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            self._whole.add(func)
        result = func(*args, **kwargs)
        if formula is not None:
            self.operations += formula(*args, **kwargs, out_val=result)
        return result
