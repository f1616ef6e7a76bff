"""Result: what one experiment measured, over its seeds."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from crossbar_sim.spec.units import engineering


@dataclass(frozen=True)
class Result:
    """The spec of an experiment, one record per seed, and the versions it was made with."""

    spec: dict[str, Any]
    task_kind: str
    display_name: str
    seeds: list[dict[str, Any]]
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for json.dump."""
        return asdict(self)

    def mean(self, key: str) -> float:
        """Mean of a record's number over the seeds."""
        return statistics.fmean(record[key] for record in self.seeds)

    def mean_of(self, group: str) -> dict[str, float]:
        """Mean over the seeds of every number in a group of the record ('energy_by_phase_J' ...)."""
        return {key: statistics.fmean(record[group][key] for record in self.seeds) for key in self.seeds[0][group]}

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of every seed."""
        return [record["accuracy"] for record in self.seeds]

    def record(self) -> dict[str, Any]:
        """One flat record for scripts: means over the seeds; the worst seed for wear."""
        wearouts = [r["adaptations_until_wearout"] for r in self.seeds if r["adaptations_until_wearout"] is not None]
        return {
            "method": self.display_name,
            "task": self.spec["task"],
            "task_kind": self.task_kind,
            "hardware": self.spec["hardware"]["name"],
            "seeds": [record["seed"] for record in self.seeds],
            "trained_values": self.seeds[0]["trained_values"],
            "accuracy_mean": statistics.fmean(self.accuracies),
            "accuracy_sd": statistics.stdev(self.accuracies) if len(self.seeds) > 1 else 0.0,
            "validation_accuracy_mean": self.mean("validation_accuracy"),
            "cells_written_per_step": self.mean("cells_written_per_step"),
            "adapt_cells_written": self.mean("adapt_cells_written"),
            "pool_cells_written": self.seeds[0]["pool_cells_written"],
            "reprogramming_energy_J": self.mean("reprogramming_energy_J"),
            "pool_programming_energy_J": self.mean("pool_programming_energy_J"),
            "total_energy_J": self.mean("total_energy_J"),
            "energy_by_phase_J": self.mean_of("energy_by_phase_J"),
            "energy_by_component_J": self.mean_of("energy_by_component_J"),
            "adapt_energy_by_component_J": self.mean_of("adapt_energy_by_component_J"),
            "max_writes_per_cell": max(record["max_writes_per_cell"] for record in self.seeds),
            "max_task_writes_per_cell": max(record["max_task_writes_per_cell"] for record in self.seeds),
            "p99_writes_per_cell": self.mean("p99_writes_per_cell"),
            "mean_writes_per_cell": self.mean("mean_writes_per_cell"),
            "adaptations_until_wearout": min(wearouts) if wearouts else None,
        }

    def __str__(self) -> str:
        row = self.record()
        wearout = row["adaptations_until_wearout"]
        phases = ", ".join(f"{name} {engineering(value, 'J')}" for name, value in row["energy_by_phase_J"].items())
        return "\n".join(
            [
                f"{row['method']} on {row['task']} ({row['task_kind']}), hardware {row['hardware']}",
                f"  accuracy             {row['accuracy_mean']:.3f} ± {row['accuracy_sd']:.3f} "
                f"({len(self.seeds)} seeds)",
                f"  trained values       {row['trained_values']}",
                f"  cells written        {row['adapt_cells_written']:.0f} per adaptation, "
                f"{row['cells_written_per_step']:.1f} per step; pool {row['pool_cells_written']}",
                f"  reprogramming        {engineering(row['reprogramming_energy_J'], 'J')}",
                f"  total energy         {engineering(row['total_energy_J'], 'J')} ({phases})",
                f"  worst cell's writes  {row['max_writes_per_cell']} "
                f"(99th percentile {row['p99_writes_per_cell']:.0f})",
                f"  wear-out after       {'never by writing' if wearout is None else f'{wearout} adaptations'}",
            ]
        )
