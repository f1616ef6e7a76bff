"""Samples: what a batch is, what is cut from it, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from peft_methods import LinearProbe, LoRA, accuracy, evaluate, fine_tune
from peft_methods.errors import DataError, MethodError
from peft_methods.training.losses import IGNORED
from peft_methods.training.samples import Samples

IDS = torch.tensor([[5, 6, 7, 0, 0], [5, 0, 0, 0, 0], [8, 9, 0, 0, 0]])
MASK = (IDS > 0).long()


@pytest.mark.parametrize(
    ("inputs", "labels", "why"),
    [
        (torch.zeros(3, 2), torch.zeros(2), "do not belong together"),
        (torch.zeros(0, 2), torch.zeros(0), "no samples"),
        (torch.full((2, 2), torch.nan), torch.zeros(2), "NaN"),
        (torch.zeros(2, 2, dtype=torch.complex64), torch.zeros(2), "real numbers"),
        ({}, torch.zeros(2), "empty table"),
        ({"a": torch.zeros(2), "b": torch.zeros(3)}, torch.zeros(2), "2 a, 3 b and 2 labels"),
        ({"a": [1, 2]}, torch.zeros(2), "torch tensor"),
        (torch.tensor(1.0), torch.zeros(1), "single number"),
        (torch.zeros(2, 2), torch.tensor([0.0, torch.inf]), "labels hold NaN or infinity"),
    ],
)
def test_what_is_no_data_is_refused(inputs: object, labels: Tensor, why: str) -> None:
    with pytest.raises(DataError, match=why):
        Samples(inputs, labels)  # type: ignore[arg-type]


def test_padding_that_no_sample_of_a_batch_needs_is_cut_with_its_labels() -> None:
    whole = Samples({"input_ids": IDS, "attention_mask": MASK}, IDS.masked_fill(MASK == 0, IGNORED))
    batch = whole.take(torch.tensor([1, 2]))
    assert batch.by_name()["input_ids"].tolist() == [[5, 0], [8, 9]]
    assert batch.labels.tolist() == [[5, IGNORED], [8, 9]]
    left = Samples({"input_ids": IDS.flip(1), "attention_mask": MASK.flip(1)}, torch.arange(3)).take(slice(1, 3))
    assert left.by_name()["input_ids"].tolist() == [[0, 5], [9, 8]]
    assert left.labels.tolist() == [1, 2]


def test_a_batch_without_a_mask_keeps_its_columns() -> None:
    assert Samples({"input_ids": IDS}, torch.arange(3)).take(slice(1, 2)).by_name()["input_ids"].shape == (1, 5)


class Bag(nn.Module):
    """A sum of embeddings whose head is called otherwise; it answers with a table, as Hugging Face's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.blocks = nn.ModuleList([nn.Linear(8, 8)])
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        hidden = self.blocks[0](self.embedding(input_ids)).tanh()
        return {"logits": self.classifier(self.dropout((hidden * attention_mask[..., None]).sum(1)))}


def bag() -> Bag:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Bag()


def table(count: int = 60) -> tuple[dict[str, Tensor], Tensor]:
    ids = torch.randint(1, 10, (count, 5), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, (ids == 3).any(1).long()


def test_a_model_of_named_inputs_with_a_head_of_another_name_is_trained_and_judged() -> None:
    model, (inputs, labels) = bag(), table()
    adapter = LoRA(placement="sram", train_head=True, steps=120, learning_rate=2e-2).attach(model)
    before = evaluate(model, inputs, labels).value
    fine_tune(model, adapter, inputs, labels)
    after = evaluate(model, inputs, labels)
    assert after.value == accuracy(model, inputs, labels)
    assert after.value > before + 0.2
    assert after.standard_error is not None


def test_what_the_model_draws_follows_the_seed_and_leaves_torchs_state_alone() -> None:
    inputs, labels = table()

    def losses(seed: int, disturbed: int) -> list[float]:
        torch.manual_seed(disturbed)
        model = bag()
        state = torch.get_rng_state()
        history = fine_tune(model, LinearProbe(steps=5).attach(model), inputs, labels, seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        return history.loss

    assert losses(0, 1) == losses(0, 2) != losses(1, 1)


def test_a_loss_of_ones_own_is_minimised_and_one_of_many_numbers_is_refused() -> None:
    model, (inputs, _) = bag(), table()
    target = torch.randn(60, 2, generator=torch.Generator().manual_seed(2))
    adapter = LinearProbe(steps=40, learning_rate=2e-2).attach(model)
    history = fine_tune(model, adapter, inputs, target, loss=lambda out, y: (out["logits"] - y).square().mean())
    assert history.loss[-1] < history.loss[0]
    with pytest.raises(Exception, match="one number"):
        fine_tune(model, adapter, inputs, target, loss=lambda out, y: out["logits"] - y)


def test_a_model_without_a_head_says_what_it_looked_for() -> None:
    with pytest.raises(MethodError, match="has no head to train"):
        LinearProbe().attach(nn.Sequential(nn.Linear(2, 2)))
