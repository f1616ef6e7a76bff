"""TargetedMethod: what methods share that change some layers of a model, and how these are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import field_validator
from torch import nn

from crossbar_sim import SpecError
from peft_methods.base import Method
from peft_methods.customary import customary, there
from peft_methods.errors import MethodError
from peft_methods.model_parts import LinearLike, block_of, left_out, like, replaceable_layers
from peft_methods.patterns import ALLOWED, REGULAR, is_harmless, matches

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class TargetedMethod(Method):
    """A method that changes layers which its `targets` name.

    A target is a name or its end ('query', 'mlp.up'), wildcards for the whole name as `map_model` takes them
    ('*.layer.1.*.query'), or 're:' and a regular expression for the whole name, at most two of its parts
    repeated and two groups.
    As they are by default they stand for the customary layers where the model is one of Hugging Face transformers
    (`peft_methods.customary`). `layers_to_transform`: only inside the blocks of these numbers. `exclude_targets`: not
    these.
    """

    unstated: ClassVar[frozenset[str]] = frozenset({"layers_to_transform", "exclude_targets"})

    targets: tuple[str, ...] | None = None
    layers_to_transform: tuple[int, ...] | None = None
    exclude_targets: tuple[str, ...] = ()

    @field_validator("targets", "exclude_targets", "feed_forward", mode="before", check_fields=False)
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("targets", "exclude_targets", "feed_forward", check_fields=False)
    @classmethod
    def _bounded(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for target in value or ():
            if target.startswith(REGULAR) and not is_harmless(target.removeprefix(REGULAR)):
                raise SpecError(f"'{target[:60]}' may take for ever to match or is no pattern; use {ALLOWED}")
        return value

    @field_validator("layers_to_transform", mode="before")
    @classmethod
    def _one_block(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value

    def named(self, model: nn.Module, field: str, customarily: str) -> tuple[str, ...]:
        """The targets that a field states; as it is by default, and the model is of an architecture that is known,
        what is customary there for updates, gains, feed_forward or residual. Of None, nothing."""
        stated: tuple[str, ...] | None = self.__dict__[field]
        known = customary(model) if stated == type(self).model_fields[field].default else None
        usual = () if known is None else there(model, vars(known)[customarily])
        return usual or stated or ()

    def updated_layers(self, model: nn.Module) -> dict[str, LinearLike]:
        """The linear layers that a low-rank update, or one of its kin, goes to; MethodError if there are none."""
        return self.among(replaceable_layers(model, self._updates(model)))

    def left_out(self, model: nn.Module) -> tuple[str, ...]:
        """Layers that an update would go to and cannot, see `model_parts.left_out`."""
        return left_out(model, self._updates(model))

    def _updates(self, model: nn.Module) -> tuple[str, ...] | None:
        return self.named(model, "targets", "updates") or self.targets

    def among(self, found: Mapping[str, AnyModule]) -> dict[str, AnyModule]:
        """Those that the method is not kept from; MethodError if no block, or no layer, is what is asked for."""
        for pattern in self.exclude_targets:
            if not any(matches(name, pattern) for name in found):
                raise MethodError(f"exclude_targets: no target {like(pattern)}; they are {_some(found)}")
        left = {name: one for name, one in found.items() if not any(matches(name, p) for p in self.exclude_targets)}
        if self.layers_to_transform is not None:
            numbers = {name: _number(name) for name in left}
            for wanted in self.layers_to_transform:
                if wanted not in numbers.values():
                    there_are = sorted({number for number in numbers.values() if number is not None})
                    raise MethodError(
                        f"layers_to_transform: no target is inside a block {wanted}; blocks with targets are "
                        f"{', '.join(map(str, there_are)) or 'none'}"
                    )
            left = {name: one for name, one in left.items() if numbers[name] in self.layers_to_transform}
        if not left:
            raise MethodError(f"exclude_targets leaves {self.label} no layer; the targets were {_some(found)}")
        return left


def _some(names: Mapping[str, object]) -> str:
    shown = list(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _number(name: str) -> int | None:
    """The number of the block of a layer."""
    block = block_of(name)
    return None if block is None else int(block.rpartition(".")[2])
