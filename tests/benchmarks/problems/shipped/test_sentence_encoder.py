"""The encoder's heads: padding never counts, a new head is the same for everybody."""

from typing import Any

import pytest
import torch

from benchmarks.problems.optional import optional
from benchmarks.problems.problem import ProblemError
from benchmarks.problems.shipped.sentence_encoder import SentenceClassifier, TokenClassifier, new_head, padded

hub: Any = pytest.importorskip("transformers", reason="needs transformers (pip install crossbar-sim[hf])")
IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.fixture(scope="module")
def bert() -> Any:
    config = hub.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return hub.BertModel(config, add_pooling_layer=False).eval()


def test_sentences_are_scored_by_the_mean_of_their_real_tokens(bert: Any) -> None:
    model = SentenceClassifier(bert, 3)
    states = bert(input_ids=IDS, attention_mask=MASK).last_hidden_state
    wanted = model.head(torch.stack([states[0].mean(0), states[1, :3].mean(0)]))
    torch.testing.assert_close(model(IDS, MASK), wanted)


def test_padding_changes_nothing(bert: Any) -> None:
    alone = SentenceClassifier(bert, 3)(IDS[1:, :3], MASK[1:, :3])
    torch.testing.assert_close(SentenceClassifier(bert, 3)(IDS, MASK)[1:], alone)


def test_tokens_are_scored_one_by_one(bert: Any) -> None:
    assert TokenClassifier(bert, 5)(IDS, MASK).shape == (2, 4, 5)


def test_a_new_head_is_the_same_for_everybody_and_draws_nothing_from_torch(bert: Any) -> None:
    before = torch.get_rng_state()
    first, second = new_head(bert, 4), new_head(bert, 4)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.weight, second.weight) and not first.bias.any()
    assert first.weight.std() < 0.05


def test_sequences_are_padded_behind() -> None:
    assert padded([[1, 2, 3], [4]], -100).tolist() == [[1, 2, 3], [4, -100, -100]]


def test_a_library_that_is_not_installed_is_a_sentence() -> None:
    with pytest.raises(ProblemError, match=r'pip install "crossbar-sim\[hf\]"'):
        optional("no_such_library")
