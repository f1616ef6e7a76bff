"""Memory: what an adapter occupies beside the tiles while it trains."""

from __future__ import annotations

from crossbar_sim.chip.matrix import Matrix
from peft_methods.base import Adapter
from peft_methods.methods.gradient_free import GradientFree
from peft_methods.placement import WORD
from peft_methods.updates.base import ADAMW


def memory_of(adapter: Adapter) -> dict[str, int]:
    """Bytes by use. trained: values with the moments of their optimiser; frozen: matrices in SRAM that are not trained;
    kept: tables that the method computes once, such as those of row norms."""
    words = 1 if isinstance(adapter.method, GradientFree) else ADAMW.kept
    trained = {id(parameter) for parameter in adapter.trained_parameters()}
    frozen = sum(
        matrix.master.numel()
        for matrix, placement in adapter.placed
        if placement == "sram" and id(matrix.master) not in trained
    )
    before = {id(buffer) for buffer, _ in adapter.before.buffers}
    tables = sum(
        buffer.numel()
        for module in adapter.model.modules()
        if not isinstance(module, Matrix)
        for buffer in module.buffers(recurse=False)
        if id(buffer) not in before
    )
    return {"trained": WORD * words * adapter.trained_values, "frozen": WORD * frozen, "kept": WORD * tables}
