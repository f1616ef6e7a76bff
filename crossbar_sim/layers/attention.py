"""MappedAttention: nn.MultiheadAttention with its four projections on tiles."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from crossbar_sim.layers.base import MappedLayer, Program, Weights
from crossbar_sim.layers.linear import MappedLinear
from crossbar_sim.spec.errors import MappingError

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class MappedAttention(MappedLayer):
    """softmax(Q K^T / sqrt(width per head)) V, then a projection: Q, K, V and the output are projected on tiles by
    `q_proj`, `k_proj`, `v_proj` and `out_proj`; softmax and the two products of activations are digital.

    Arguments and results of a call are those of nn.MultiheadAttention; a query that may attend to nothing gets zeros.
    """

    in_proj_bias = None  # where torch looks whether it may bypass this module: it may not
    _qkv_same_embed_dim = False

    def __init__(
        self,
        name: str,
        layer: nn.MultiheadAttention,
        projections: tuple[MappedLinear, MappedLinear, MappedLinear],
        output: MappedLinear,
    ) -> None:
        super().__init__(name, layer)
        self.q_proj, self.k_proj, self.v_proj = projections
        self.out_proj = output
        inputs = [linear.matrix for linear in projections]
        if layer.in_proj_weight is not None:
            self._held = {"in_proj_weight": inputs}
        else:
            self._held = {f"{key}_weight": [one] for key, one in zip(PROJECTIONS, inputs, strict=True)}
        self._held["out_proj.weight"] = [output.matrix]
        self.bias_k, self.bias_v = layer.bias_k, layer.bias_v
        self.add_zero_attn = layer.add_zero_attn
        self.dropout = layer.dropout
        self.batch_first = layer.batch_first
        self.embed_dim, self.num_heads = layer.embed_dim, layer.num_heads

    @classmethod
    def of(cls, name: str, layer: nn.MultiheadAttention, program: Program) -> MappedAttention:
        """The layer on tiles: matrices `name.q_proj`, `name.k_proj`, `name.v_proj`, `name.out_proj`."""
        if layer.in_proj_weight is not None:
            weights: list[torch.Tensor] = list(layer.in_proj_weight.detach().chunk(3))
        else:
            weights = [getattr(layer, f"{key}_weight") for key in PROJECTIONS]
        biases: list[nn.Parameter | None] = [None, None, None]
        if layer.in_proj_bias is not None:
            trained = layer.in_proj_bias.requires_grad
            biases = [nn.Parameter(b.clone(), trained) for b in layer.in_proj_bias.detach().chunk(3)]
        q, k, v = (
            MappedLinear(program(f"{name}.{key}", weight), bias)
            for key, weight, bias in zip(PROJECTIONS, weights, biases, strict=True)
        )
        output = MappedLinear(program(f"{name}.out_proj", layer.out_proj.weight), layer.out_proj.bias)
        return cls(name, layer, (q, k, v), output)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """query (L, n, width), key (S, n, kdim), value (S, n, vdim), or with n first, or without n -> output like
        query and, if wanted, the attention weights (n, [heads,] L, S).
        """
        if is_causal and attn_mask is None:
            raise MappingError(f"{self.name}: is_causal is a hint about attn_mask; give the mask too")
        batched = query.ndim == 3
        if not batched:
            query, key, value = (one[None] for one in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
        elif not self.batch_first:
            query, key, value = (one.transpose(0, 1) for one in (query, key, value))
        q = self.q_proj(query)
        k = self.k_proj(key)
        v = self.v_proj(value)
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(len(k), 1, -1)], dim=1)
            v = torch.cat([v, self.bias_v.expand(len(v), 1, -1)], dim=1)
        if self.add_zero_attn:
            k, v = functional.pad(k, (0, 0, 0, 1)), functional.pad(v, (0, 0, 0, 1))
        q, k, v = (one.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for one in (q, k, v))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        added = k.shape[2] - key.shape[1]  # every query may attend to what was added
        if attn_mask is not None:
            shaped = attn_mask if attn_mask.ndim == 2 else attn_mask.unflatten(0, (-1, self.num_heads))
            scores = _masked(scores, shaped, added)
        if key_padding_mask is not None:
            scores = _masked(scores, key_padding_mask[:, None, None], added)
        weights = scores.softmax(-1).masked_fill((scores == -math.inf).all(-1, keepdim=True), 0.0)
        weights = functional.dropout(weights, self.dropout, self.training)
        y: torch.Tensor = self.out_proj((weights @ v).transpose(1, 2).flatten(2))
        if not batched:
            y, weights = y[0], weights[0]
        elif not self.batch_first:
            y = y.transpose(0, 1)
        return y, (weights.mean(-3) if average_attn_weights else weights) if need_weights else None

    @torch.no_grad()
    def restored(self, weights: Weights) -> nn.Module:
        layer = super().restored(weights)
        assert isinstance(layer, nn.MultiheadAttention)
        linears = (self.q_proj, self.k_proj, self.v_proj)
        biases: list[torch.Tensor] = [linear.bias for linear in linears if linear.bias is not None]
        if biases:
            layer.in_proj_bias.data = torch.cat(biases)
        return layer


def _masked(scores: torch.Tensor, mask: torch.Tensor, added: int) -> torch.Tensor:
    """Scores where a boolean mask forbids (true) or a float mask adds; the last `added` keys are free for all."""
    if mask.dtype == torch.bool:
        return scores.masked_fill(functional.pad(mask, (0, added)), -math.inf)
    return scores + functional.pad(mask, (0, added))
