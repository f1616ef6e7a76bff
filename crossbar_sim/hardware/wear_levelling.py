"""WearLevelling: whether and when rows of a tile trade places."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from crossbar_sim.spec.spec import Spec


class WearLevelling(Spec):
    """Rows of a tile trade places; the inputs of all tiles of a row of tiles are rerouted together.

    policy = 'row_swap': once the worst cell of a row has taken `interval` writes since the row last moved, it changes
    places with the least written row; the idea of SGS-ARS ("Long Live TIME", DAC 2018).
    'periodic_remap': after every `interval` writes of the matrix all rows are shuffled at random; the idea of ENDURER
    (CHIMERA, JSSC 2022). Cells that get another target by the move are rewritten, billed and worn like any other.
    """

    policy: Literal["row_swap", "periodic_remap"]
    interval: Annotated[int, Field(ge=1)]
