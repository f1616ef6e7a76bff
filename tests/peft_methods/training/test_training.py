"""The training loop: looking leaves no trace, nothing is billed twice, worn tiles stay worn, errors teach."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from crossbar_sim import Hardware, map_model
from peft_methods import Adapter, LoRA, LoRAFusion, LoRAHub, MethodError, accuracy, fine_tune
from peft_methods.errors import DataError
from peft_methods.training.digital_operations import ProductCounter
from peft_methods.training.loop import History, TrainingError
from tests.conftest import tiny_net, tiny_pool

GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(20, 6, generator=GENERATOR), torch.randint(0, 3, (20,), generator=GENERATOR)


def run(hardware: Hardware, watch: bool) -> tuple[list[float], float]:
    model = tiny_net()
    chip = map_model(model, hardware)
    adapter = LoRA(rank=2, steps=5).attach(model, chip)

    def look(step: int, history: History) -> None:
        accuracy(model, X, Y)

    history = fine_tune(model, adapter, X, Y, on_step=look if watch else None)
    return history.loss, chip.ledger.energy()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:0], Y[:0], "no samples"),
        (X, Y[:5], "do not belong together"),
        (X.clone().fill_(torch.nan), Y, "NaN or infinity"),
        (X, Y + 7, "scores 3 classes, 0 to 2, and the labels go from 7"),
        (X, Y - 1, "the labels go from -1"),
        (X, Y.float(), "of type torch.long"),
    ],
)
def test_data_that_teach_nothing_are_named(x: torch.Tensor, y: torch.Tensor, message: str) -> None:
    for method in (LoRA(rank=2, steps=2), LoRAHub(pool=tiny_pool(tiny_net()))):
        model = tiny_net()
        with pytest.raises(DataError, match=message):
            fine_tune(model, method.attach(model), x, y)
    if len(x) != len(y) or not len(x):
        with pytest.raises(DataError, match=message):
            accuracy(model, x, y)


def test_an_adapter_of_another_model_is_refused() -> None:
    model = tiny_net()
    adapter = LoRA(rank=2, steps=2).attach(tiny_net())
    with pytest.raises(MethodError, match="is not attached to this TinyNet"):
        fine_tune(model, adapter, X, Y)
    adapter.detach()
    with pytest.raises(MethodError, match="is not attached to this TinyNet"):
        fine_tune(adapter.model, adapter, X, Y)


def test_looking_leaves_no_trace(milo: Hardware) -> None:
    assert run(milo, watch=True) == run(milo, watch=False)


@pytest.mark.parametrize("backward", ["noise_free", "ideal"])
def test_exact_backward_rules_are_not_billed_as_digital_arithmetic(milo: Hardware, backward: str) -> None:
    bills = []
    for rule in ("analog", backward):
        model = tiny_net()
        chip = map_model(model, milo.replace(backward=rule))
        fine_tune(model, LoRA(rank=2, steps=2).attach(model, chip), X, Y)
        bills.append(chip.ledger.energy("adapt/backward", ("arithmetic",)))
    assert bills[1] == pytest.approx(bills[0])


def test_only_attention_free_head_products_are_counted_as_digital_layers(milo: Hardware) -> None:
    """TinyNet's one digital matrix product is its head: 6 x 3 multiply-accumulates per sample."""
    model = tiny_net()
    chip = map_model(model, milo)
    accuracy(model, X, Y, chip)
    rows = [row for row in chip.ledger.rows() if row["place"] == "digital layers"]
    assert [(row["phase"], row["count"]) for row in rows] == [("infer", 2 * 20 * 6 * 3)]


@pytest.mark.parametrize("inference", [False, True])
def test_digital_products_are_those_that_torch_counts(inference: bool) -> None:
    """In inference mode torch shows composite operations whole: they are taken apart."""
    model, totals = nn.Sequential(nn.Linear(6, 5), nn.TransformerEncoderLayer(5, 1, 7), nn.Linear(5, 2)), []
    for counter in (ProductCounter(), FlopCounterMode(display=False)):
        with counter, torch.inference_mode(inference):
            scores = model(X)
            if not inference:
                scores.sum().backward()
        totals.append(counter.operations if isinstance(counter, ProductCounter) else counter.get_total_flops())
    assert totals[0] == totals[1] > 0


def test_fusion_is_billed_once(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = LoRAFusion(steps=1, pool=tiny_pool(model)).attach(model, chip)
    accuracy(model, X, Y, chip)
    entries = [row for row in chip.ledger.rows() if row["component"] == "arithmetic"]
    rows = {row["place"]: row["count"] for row in entries if row["phase"] == "infer"}
    one_off = sum((6 * outputs + 36) * inputs for outputs, inputs in [(10, 6), (6, 10), (6, 6)] * 2)
    assert [row["count"] for row in entries if row["phase"] == "pool"] == [2 * one_off]
    assert rows["digital layers"] == 2 * 20 * 6 * 3  # still only the head
    pool_values, outputs = 6 * 3 * 2, 2 * (10 + 6 + 6)  # six layers, three modules of rank 2
    assert rows["fusion"] == 20 * (3 * pool_values + outputs)
    assert adapter.trained_values == 3 * 2 + outputs


def test_without_magnitudes_no_norm_is_computed_kept_or_billed(milo: Hardware) -> None:
    """LoRAHub: nothing when the pool is attached, and per layer and vector only the mixing."""
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = LoRAHub(pool=tiny_pool(model)).attach(model, chip)
    accuracy(model, X, Y, chip)
    rows = {(row["phase"], row["component"]): row["count"] for row in chip.ledger.rows() if row["place"] == "fusion"}
    pool_values = 6 * 3 * 2  # six layers, three modules of rank 2
    assert rows == {("infer", "arithmetic"): 20 * 3 * pool_values, ("infer", "SRAM"): 20 * 6 * 3}
    assert not any("norms" in name or "magnitude" in name for name in model.state_dict())
    assert adapter.trained_values == 3


def most_written(adapter: Adapter) -> int:
    return max(int(writes.max()) for writes in adapter.task_writes().values())


def test_tiles_of_a_detached_adapter_stay_worn(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    for _ in range(2):
        adapter = LoRA(rank=2, steps=2).attach(model, chip)
        fine_tune(model, adapter, X, Y)
        worn = chip.matrices["blocks.0.up.lora_A"].cells.writes.copy()
        achieved = chip.matrices["blocks.0.up.lora_A"].cells.conductance.copy()
        task = most_written(adapter)
        adapter.detach()
    adapter = LoRA(rank=2).attach(model, chip)
    again = chip.matrices["blocks.0.up.lora_A"].cells
    assert (again.writes == worn + 1).all() and worn.min() >= 2
    assert not (again.conductance == achieved).any()
    assert 1 <= task <= 3 and most_written(adapter) == 1


def test_a_loss_that_is_not_finite_stops_with_advice() -> None:
    model = tiny_net()
    adapter = LoRA(rank=2, steps=3).attach(model)
    with torch.no_grad():
        adapter.trained_parameters()[0].fill_(torch.inf)
    with pytest.raises(TrainingError, match="lower its learning_rate"):
        fine_tune(model, adapter, X, Y)


def test_fewer_images_than_a_batch_are_enough() -> None:
    model = tiny_net()
    history = fine_tune(model, LoRA(rank=2, steps=3).attach(model), X[:4], Y[:4])
    assert len(history.loss) == 3 and isinstance(model.head, nn.Linear)
