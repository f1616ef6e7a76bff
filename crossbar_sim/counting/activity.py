"""Activity: what a bill takes from data, and a count cannot know."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crossbar_sim.spec.spec import Spec

Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class Activity(Spec):
    """What the cells and the lines of a run see.

    changed_share: cells of trained matrices on tiles whose level changes in a step; 1 is the bound.
    drive, transposed_drive: mean over inputs and vectors of the squared drives of all reads of a vector (one read:
    (x / max |x|)^2; bit by bit: the bits that are set), forward and transposed; None: those of Gaussian x.
    levels: by ledger phase, the share of the cells at each level when they are programmed first; a phase without
    entry: those of the weights if they have values, else of Gaussian weights. changes: (level before, level after,
    share) of rewritten cells; None: to the next level.
    """

    changed_share: Share = 1.0
    drive: NotNegative | None = None
    transposed_drive: NotNegative | None = None
    levels: dict[str, tuple[Share, ...]] = Field(default_factory=dict)
    changes: tuple[tuple[int, int, Share], ...] | None = None
