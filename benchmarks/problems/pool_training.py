"""PoolTraining: how the LoRA modules of a problem's pool are trained."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from peft_methods import LoRA


@dataclass(frozen=True)
class PoolTraining:
    """One module per source task, without a chip.

    method: plain LoRA in SRAM; its head is trained with it and not kept. samples: most training samples of a task.
    seed: one for all modules, so that all start with the same A, which keeps the products B_i A_j of a mixture
    meaningful.
    """

    method: LoRA
    samples: int = 2000
    seed: int = 0

    def table(self) -> dict[str, Any]:
        """For files."""
        return {"method": self.method.table(), "samples": self.samples, "seed": self.seed}

    def digest(self) -> str:
        """SHA-256 of the settings."""
        return hashlib.sha256(json.dumps(self.table(), sort_keys=True).encode()).hexdigest()
