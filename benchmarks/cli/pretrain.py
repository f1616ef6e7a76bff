"""The command that trains what ships: pretrain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg, subcommand

Output = Annotated[Path | None, arg(metavar="PATH", help="where to write; default: what the package ships")]


@dataclass(frozen=True)
class Backbone:
    """Train the digits backbone and write it."""

    epochs: Annotated[int, arg(metavar="N", help="passes over the images")] = 100
    output: Output = None

    def run(self) -> None:
        """Write the backbone and print the accuracy it reaches."""
        from benchmarks.problems.backbones import BACKBONE_FOLDER
        from benchmarks.problems.pretraining.pretrain import BackboneRecipe, write_backbone

        path = self.output or BACKBONE_FOLDER / "digits_vit.safetensors"
        reached = write_backbone(path, BackboneRecipe(epochs=self.epochs))
        print(f"{path}: test accuracy {reached:.4f}")


@dataclass(frozen=True)
class Pool:
    """Train one LoRA module per source task and write them."""

    backbone: Annotated[str, arg(metavar="NAME", help="that they are trained on")] = "digits_vit"
    output: Output = None

    def run(self) -> None:
        """Write the modules and print the accuracy each reaches."""
        from benchmarks.problems.pools import POOL_FOLDER
        from benchmarks.problems.pretraining.pretrain import PoolRecipe, write_pool

        folder = (self.output or POOL_FOLDER) / self.backbone
        for name, reached in write_pool(folder, PoolRecipe(), self.backbone).items():
            print(f"{name:<12}test accuracy {reached:.4f}")


@dataclass(frozen=True)
class InContext:
    """Train the in-context transformer and write it."""

    steps: Annotated[int, arg(metavar="N", help="of training, each on fresh prompts")] = 6000
    output: Output = None

    def run(self) -> None:
        """Write the transformer and print its error by number of examples."""
        from benchmarks.problems.pretraining.in_context import IN_CONTEXT_FOLDER
        from benchmarks.problems.pretraining.pretrain_in_context import InContextRecipe, write

        path = self.output or IN_CONTEXT_FOLDER / "linear_regression.safetensors"
        for examples, ratio in write(path, InContextRecipe(steps=self.steps), log=True).items():
            print(f"{examples:>3} examples: excess error {ratio:.3f} of the exact one")


Asset = (
    Annotated[Backbone, subcommand("backbone")]
    | Annotated[Pool, subcommand("pool")]
    | Annotated[InContext, subcommand("in-context")]
)


def pretrain(asset: Annotated[Asset, arg(name="")]) -> None:
    """Train what the package ships: the backbone, the modules of its pool, the in-context transformer."""
    import torch

    torch.set_num_threads(1)
    asset.run()
