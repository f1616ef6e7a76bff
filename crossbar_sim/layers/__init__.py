"""Layers on tiles, and the only way to put a torch model there and back."""

from crossbar_sim.chip.chip import Chip
from crossbar_sim.layers.attention import MappedAttention
from crossbar_sim.layers.base import MappedLayer
from crossbar_sim.layers.convolution import MappedConvolution
from crossbar_sim.layers.linear import MappedLinear
from crossbar_sim.layers.model import map_model, unmap
from crossbar_sim.layers.putting_back import put_back
from crossbar_sim.layers.recurrent import MappedCell, MappedRecurrent

__all__ = [
    "Chip",
    "MappedAttention",
    "MappedCell",
    "MappedConvolution",
    "MappedLayer",
    "MappedLinear",
    "MappedRecurrent",
    "map_model",
    "put_back",
    "unmap",
]
