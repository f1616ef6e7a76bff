"""Methods and update rules are known once their room is imported, in the order of tables, and found by name."""

from __future__ import annotations

import pytest

from crossbar_sim import SpecError
from peft_methods import METHODS, RULES, LoRA
from peft_methods.methods import find_method, read_method
from peft_methods.updates.base import UpdateRule

ORDER = (
    "full-fine-tuning linear-probe bitfit lora lora-fa dora vera wegeft ia3 adapters vpt pasta lorahub lorafusion "
    "frozen"
)


def test_methods_and_rules_stand_in_the_order_of_tables_and_know_their_names() -> None:
    assert list(METHODS) == ORDER.split()
    assert list(RULES) == ["write_verify", "sign_pulses", "open_loop_pulses", "mixed_precision", "stochastic_pulses"]
    assert all(kind.name == name for family in (METHODS, RULES) for name, kind in family.items())


@pytest.mark.parametrize("name", METHODS)
def test_a_method_comes_back_from_its_table(name: str) -> None:
    method = find_method(name)()
    assert read_method(method.table()) == method == read_method(name)


def test_a_wrong_name_says_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"no method 'lorra'; did you mean 'lora'"):
        read_method({"name": "lorra"})
    with pytest.raises(SpecError, match=r"update_rule: no rule 'sign_pulse'; did you mean 'sign_pulses'"):
        LoRA(update_rule="sign_pulse")
    with pytest.raises(SpecError, match=r"'write_verify', not 'sign_pulses'"):
        RULES["write_verify"](rule="sign_pulses")


def test_ranges_on_tiles_are_searched_only_there() -> None:
    assert set(LoRA().search_ranges()) == {"learning_rate", "b_range"}
    assert set(LoRA(placement="sram").search_ranges()) == {"learning_rate"}


def test_a_rule_is_an_interface() -> None:
    with pytest.raises(TypeError, match="abstract"):
        UpdateRule()
