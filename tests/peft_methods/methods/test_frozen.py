"""The frozen model is a method without settings."""

from __future__ import annotations

import pytest

from crossbar_sim import SpecError
from peft_methods import Frozen

OTHER = {
    "learning_rate": 0.1,
    "weight_decay": 0.1,
    "steps": 5,
    "batch_size": 3,
    "train_head": True,
    "update_rule": "sign_pulses",
}


@pytest.mark.parametrize("key", OTHER)
def test_settings_of_training_are_refused(key: str) -> None:
    with pytest.raises(SpecError, match=f"frozen trains nothing, so {key} has no effect; leave it out"):
        Frozen(**{key: OTHER[key]})


def test_its_table_is_its_name() -> None:
    assert set(OTHER) == set(Frozen.model_fields)
    assert Frozen().table() == {"name": "frozen"} and Frozen(steps=0) == Frozen() and not Frozen().search_ranges()
