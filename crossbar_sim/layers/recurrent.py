"""MappedCell and MappedRecurrent: RNN, LSTM and GRU, their matrices on tiles and their gates digital."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from crossbar_sim.layers.base import MappedLayer, Program
from crossbar_sim.layers.linear import MappedLinear
from crossbar_sim.spec.errors import MappingError

Cell = nn.RNNCell | nn.LSTMCell | nn.GRUCell
Recurrent = nn.RNN | nn.LSTM | nn.GRU
State = tuple[torch.Tensor, ...]
"""(h,) or, for an LSTM, (h, c); (n, hidden) each."""
Rule = Literal["tanh", "relu", "lstm", "gru"]
"""How torch makes the next state."""
GATES: Mapping[Rule, int] = MappingProxyType({"tanh": 1, "relu": 1, "lstm": 4, "gru": 3})
RULES: Mapping[type[nn.Module], Rule] = MappingProxyType(
    {nn.LSTMCell: "lstm", nn.LSTM: "lstm", nn.GRUCell: "gru", nn.GRU: "gru"}
)
"""By layer; a plain recurrent layer states its nonlinearity."""


def rule_of(layer: Cell | Recurrent) -> Rule:
    """The rule of a layer."""
    if isinstance(layer, nn.RNNCell | nn.RNN):
        return "relu" if layer.nonlinearity == "relu" else "tanh"
    return RULES[type(layer)]


class MappedCell(MappedLayer):
    """One time step; nn.RNNCell, nn.LSTMCell or nn.GRUCell with `input` and `hidden` weights on tiles.

    A state that is not given is zero and is not read: the matrix would only return its bias.
    """

    def __init__(self, name: str, layer: Cell, from_input: MappedLinear, from_hidden: MappedLinear) -> None:
        held = {"weight_ih": [from_input.matrix], "weight_hh": [from_hidden.matrix]}
        super().__init__(name, layer, held)
        self.input, self.hidden = from_input, from_hidden
        self.bias = layer.bias
        self.width = layer.hidden_size
        self.rule = rule_of(layer)

    @classmethod
    def of(cls, name: str, layer: Cell, program: Program) -> MappedCell:
        """The cell on tiles: matrices `name.input` and `name.hidden`."""
        from_input = MappedLinear(program(f"{name}.input", layer.weight_ih), layer.bias_ih)
        return cls(name, layer, from_input, MappedLinear(program(f"{name}.hidden", layer.weight_hh), layer.bias_hh))

    def forward(
        self, x: torch.Tensor, hx: torch.Tensor | tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """x (n, inputs), state (n, hidden) or two of them -> the next state; n may be missing."""
        state: State | None = (hx,) if isinstance(hx, torch.Tensor) else hx
        state = step(self.rule, self.input(x), state, self.hidden, self.width)
        return (state[0], state[1]) if self.rule == "lstm" else state[0]


class MappedRecurrent(MappedLayer):
    """nn.RNN, nn.LSTM or nn.GRU: per layer and direction `input_l0`, `hidden_l0`, `hidden_l0_reverse` ... on tiles
    (and `projection_l0` of an LSTM that projects). The input of all time steps is read at once, then step by step
    the hidden state; an initial state that is not given is not read.
    """

    def __init__(self, name: str, layer: Recurrent, parts: dict[str, MappedLinear]) -> None:
        torch_names = {"input": "weight_ih", "hidden": "weight_hh", "projection": "weight_hr"}
        held = {}
        for key, linear in parts.items():
            role, _, place = key.partition("_")
            held[f"{torch_names[role]}_{place}"] = [linear.matrix]
        super().__init__(name, layer, held)
        for key, linear in parts.items():
            self.add_module(key, linear)
        self.rule = rule_of(layer)
        self.layers, self.directions = layer.num_layers, 1 + layer.bidirectional
        self.batch_first, self.bias = layer.batch_first, layer.bias
        self.dropout = layer.dropout
        self.projects = layer.proj_size > 0
        self.width = layer.proj_size or layer.hidden_size

    @classmethod
    def of(cls, name: str, layer: Recurrent, program: Program) -> MappedRecurrent:
        """The layer on tiles: matrices `name.input_l0`, `name.hidden_l0` and so on."""
        parts: dict[str, MappedLinear] = {}
        for place in _places(layer.num_layers, layer.bidirectional):
            roles = [("input", "ih"), ("hidden", "hh")] + [("projection", "hr")] * (layer.proj_size > 0)
            for role, short in roles:
                matrix = program(f"{name}.{role}_{place}", getattr(layer, f"weight_{short}_{place}"))
                parts[f"{role}_{place}"] = MappedLinear(matrix, getattr(layer, f"bias_{short}_{place}", None))
        return cls(name, layer, parts)

    def forward(
        self, x: torch.Tensor, hx: torch.Tensor | tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | tuple[torch.Tensor, torch.Tensor]]:
        """x (steps, n, inputs), or with n first, or without n -> outputs (steps, n, directions x hidden) alike, and
        the last state (layers x directions, n, hidden). Raises MappingError for packed sequences.
        """
        if not isinstance(x, torch.Tensor):
            raise MappingError(f"{self.name}: packed sequences are not read on tiles; pad them to one length")
        given: State | None = (hx,) if isinstance(hx, torch.Tensor) else hx
        batched = x.ndim == 3
        if not batched:
            x, given = x[:, None], None if given is None else tuple(one[:, None] for one in given)
        elif self.batch_first:
            x = x.transpose(0, 1)
        last: list[State] = []
        for layer in range(self.layers):
            outputs = []
            for place in _places(1, self.directions == 2, layer):
                state = None if given is None else tuple(one[len(last)] for one in given)
                output, state = self._sequence(x, state, place)
                outputs.append(output)
                last.append(state)
            x = torch.cat(outputs, dim=2)
            if layer + 1 < self.layers:
                x = functional.dropout(x, self.dropout, self.training)
        states = [torch.stack(parts) for parts in zip(*last, strict=True)]
        if not batched:
            x, states = x[:, 0], [one[:, 0] for one in states]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, (states[0], states[1]) if self.rule == "lstm" else states[0]

    def _sequence(self, x: torch.Tensor, state: State | None, place: str) -> tuple[torch.Tensor, State]:
        """One layer in one direction: x (steps, n, inputs) -> (steps, n, hidden), last state."""
        from_input = self.get_submodule(f"input_{place}")(x)
        hidden = self.get_submodule(f"hidden_{place}")
        projection = self.get_submodule(f"projection_{place}") if self.projects else None
        order = range(len(x)) if not place.endswith("_reverse") else reversed(range(len(x)))
        outputs: dict[int, torch.Tensor] = {}
        for time in order:
            state = step(self.rule, from_input[time], state, hidden, self.width, projection)
            outputs[time] = state[0]
        if state is None:
            raise MappingError(f"{self.name}: a sequence needs at least one time step")
        return torch.stack([outputs[time] for time in range(len(x))]), state


def step(
    rule: Rule,
    from_input: torch.Tensor,
    state: State | None,
    hidden: nn.Module,
    width: int,
    projection: nn.Module | None = None,
) -> State:
    """The next state by torch's rule 'tanh', 'relu', 'lstm' or 'gru', from W_ih x + b_ih (n, gates x hidden).

    width: values of h.
    """
    gates = GATES[rule]
    if state is not None:
        from_hidden = hidden(state[0])
    elif isinstance(hidden, MappedLinear):
        from_hidden = torch.zeros_like(from_input) if hidden.bias is None else hidden.bias.expand_as(from_input)
    else:  # a method's layer around it, which may add to zero what it likes
        from_hidden = hidden(from_input.new_zeros(*from_input.shape[:-1], width))
    if rule == "lstm":
        enter, keep, new, leave = (from_input + from_hidden).chunk(gates, dim=-1)
        c = enter.sigmoid() * new.tanh()
        if state is not None:
            c = c + keep.sigmoid() * state[1]
        h = leave.sigmoid() * c.tanh()
        return h if projection is None else projection(h), c
    if rule == "gru":
        inputs, states = from_input.chunk(gates, dim=-1), from_hidden.chunk(gates, dim=-1)
        reset, update = ((a + b).sigmoid() for a, b in zip(inputs[:2], states[:2], strict=True))
        new = (inputs[2] + reset * states[2]).tanh()
        return (((1 - update) * new if state is None else (1 - update) * new + update * state[0]),)
    return ((from_input + from_hidden).relu() if rule == "relu" else (from_input + from_hidden).tanh(),)


def _places(layers: int, both: bool, first: int = 0) -> list[str]:
    """torch's names of layers and directions: 'l0', 'l0_reverse', 'l1' ..."""
    return [f"l{index}{end}" for index in range(first, first + layers) for end in ("", "_reverse")[: 1 + both]]
