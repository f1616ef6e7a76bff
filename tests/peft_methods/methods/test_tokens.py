"""Methods that change tokens: VPT's and PASTA's identities."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.problems.backbones import Block
from crossbar_sim import Hardware, SpecError, map_model
from peft_methods import PASTA, VPT, LinearProbe, MethodError, fine_tune
from tests.conftest import tiny_net, tiny_transformer


def images(count: int = 5, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(count, 4, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_no_prompts_are_the_linear_probe() -> None:
    """I7: the same training, bit for bit."""
    labels = torch.tensor([0, 1, 2, 0, 1])
    outputs = []
    for method in (VPT(prompts=0, steps=5), LinearProbe(steps=5, learning_rate=1e-2)):
        model = tiny_transformer()
        adapter = method.attach(model)
        fine_tune(model, adapter, images(dtype=torch.float32), labels)
        assert adapter.trained_values == 6 * 3 + 3
        outputs.append(model(images(dtype=torch.float32)))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("deep", [False, True])
def test_prompts_have_no_order(deep: bool) -> None:
    """I7."""
    model = tiny_transformer(dtype=torch.float64)
    adapter = VPT(prompts=4, deep=deep).attach(model)
    before = model(images())
    with torch.no_grad():
        for prompts in adapter.editor.prompts:
            prompts.copy_(prompts[torch.tensor([2, 0, 3, 1])].clone())
    torch.testing.assert_close(model(images()), before, rtol=1e-12, atol=1e-12)


def test_masked_prompts_are_the_frozen_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """I1: with -inf scores in the prompts' columns nothing of them is left."""
    frozen = tiny_transformer(dtype=torch.float64)(images())
    model = tiny_transformer(dtype=torch.float64)
    VPT(prompts=3).attach(model)
    assert not torch.allclose(model(images()), frozen)
    softmax = torch.Tensor.softmax

    def masked(scores: torch.Tensor, dimension: int) -> torch.Tensor:
        scores = scores.clone()
        scores[..., 1:4] = -torch.inf
        return softmax(scores, dimension)

    monkeypatch.setattr(torch.Tensor, "softmax", masked)
    torch.testing.assert_close(model(images()), frozen, rtol=1e-12, atol=1e-12)


def test_kept_keys_and_values_are_exact() -> None:
    """I7: deep inference without any prompt in the sequence."""
    model = tiny_transformer(dtype=torch.float64)
    adapter = VPT(prompts=4).attach(model)
    before = model(images())
    adapter.finish()
    torch.testing.assert_close(model(images()), before, rtol=1e-12, atol=1e-12)
    adapter.resume()
    assert torch.equal(model(images()), before)
    adapter.finish()
    adapter.detach()
    assert torch.equal(model(images()), tiny_transformer(dtype=torch.float64)(images()))


def test_deep_prompts_cost_no_reads_at_inference(milo: Hardware) -> None:
    def reads(method: VPT | None) -> int:
        model = tiny_transformer()
        chip = map_model(model, milo)
        if method is not None:
            method.attach(model, chip).finish()
        with chip.ledger.phase("infer"), torch.no_grad():
            model(images(dtype=torch.float32))
        rows = chip.ledger.rows()
        return sum(row["count"] for row in rows if row["phase"] == "infer" and row["component"] == "cell reads")

    frozen = reads(None)
    assert reads(VPT(prompts=3)) == frozen
    assert reads(VPT(prompts=3, deep=False)) == frozen + 5 * 3 * 2 * 6  # samples, prompts, blocks, layers


def test_vpt_starts_uniform_and_trains_nothing_of_the_backbone() -> None:
    model = tiny_transformer()
    adapter = VPT(prompts=50, train_head=False).attach(model)
    assert len(adapter.editor.prompts) == 2
    bound = (6 / (4 + 6)) ** 0.5
    for prompts in adapter.editor.prompts:
        assert prompts.abs().max() <= bound and prompts.detach().std() == pytest.approx(bound / 3**0.5, rel=0.1)
    model(images(dtype=torch.float32)).sum().backward()
    trained = set(map(id, adapter.trained_parameters()))
    assert all((parameter.grad is not None) == (id(parameter) in trained) for parameter in model.parameters())


def test_pasta_changes_special_positions_only() -> None:
    """I8."""
    model = tiny_transformer()
    adapter = PASTA(positions=(0, -1), initial="normal").attach(model)
    tokens = torch.randn(3, 5, 6)
    for index in range(2):
        change = adapter.editor(index, tokens) - tokens
        assert (change[:, 1:-1] == 0).all()
        torch.testing.assert_close(change[0, [0, -1]], adapter.editor.vectors[index], rtol=1e-4, atol=1e-6)
    assert adapter.editor.vectors.detach().std() == pytest.approx(0.02, rel=0.4)


def test_pasta_adds_up_along_the_residual_path() -> None:
    """With every block an identity the class token moves by the sum of its vectors."""
    model = tiny_transformer(dtype=torch.float64)
    adapter = PASTA(initial="normal").attach(model)
    for index in range(2):
        model.blocks[index] = nn.Identity()
    model.norm = nn.Identity()
    expected = model.tokens(images())[:, 0] + adapter.editor.vectors.detach().sum(0)[0]
    torch.testing.assert_close(model.features(images()), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", [VPT(), PASTA()])
def test_models_without_tokens_are_refused(method: VPT | PASTA) -> None:
    with pytest.raises(MethodError, match="TinyNet does not show them"):
        method.attach(tiny_net())
    model = tiny_transformer()
    PASTA().attach(model)
    with pytest.raises(MethodError, match="another method changes this model's tokens"):
        method.attach(model)


def test_positions_are_checked() -> None:
    with pytest.raises(SpecError, match="repeats one"):
        PASTA(positions=(0, 0))
    model = tiny_transformer()
    PASTA(positions=(9,)).attach(model)
    with pytest.raises(MethodError, match="do not all exist in a sequence of 5 tokens"):
        model(images(dtype=torch.float32))


@pytest.mark.parametrize("kind", [VPT, PASTA])
def test_dropout_acts_in_training_only_and_repeats_by_seed(kind: type[VPT | PASTA]) -> None:
    """Each number stays with probability 1 - share, scaled up; samples draw their own."""
    settings = {"initial": "normal"} if kind is PASTA else {"deep": False}
    editor = kind(dropout=0.25, **settings).attach(tiny_transformer(), seed=1).editor
    plain = kind(**settings).attach(tiny_transformer(), seed=1).editor
    again = kind(dropout=0.25, **settings).attach(tiny_transformer(), seed=1).editor
    tokens = torch.zeros(400, 5, 6)
    inserted = slice(0, 1) if kind is PASTA else slice(1, 5)
    expected, found = plain(0, tokens)[:, inserted].detach(), editor(0, tokens)[:, inserted].detach()
    kept = found != 0
    torch.testing.assert_close(found[kept], (expected / 0.75)[kept])
    assert abs(float(kept.float().mean()) - 0.75) < 4 * (0.25 * 0.75 / kept.numel()) ** 0.5
    assert not torch.equal(kept[0], kept[1]) and torch.equal(again(0, tokens)[:, inserted], found)
    assert torch.equal(editor.eval()(0, tokens)[:, inserted], expected)


class TinyText(nn.Module):
    """Words (n, length) to logits through two blocks; the first word is the class token, the last a separator."""

    before_block: nn.Module | None

    def __init__(self, words: int = 12, width: int = 6, classes: int = 2, per_token: bool = False) -> None:
        super().__init__()
        self.width = width
        self.depth = 2
        self.per_token = per_token
        self.register_module("before_block", None)
        self.embedding = nn.Embedding(words, width)
        self.blocks = nn.ModuleList(Block(width, 2, 8) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        tokens = self.embedding(words)
        for index, block in enumerate(self.blocks):
            tokens = block(tokens if self.before_block is None else self.before_block(index, tokens))
        tokens = self.norm(tokens)
        logits: torch.Tensor = self.head(tokens if self.per_token else tokens[:, 0])
        return logits.transpose(1, 2) if self.per_token else logits


def text(per_token: bool) -> tuple[TinyText, torch.Tensor, torch.Tensor]:
    """A frozen random encoder, sentence pairs [CLS] a b [SEP] c d [SEP], and labels that depend on their words."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TinyText(per_token=per_token)
    words = torch.randint(2, 12, (60, 7), generator=torch.Generator().manual_seed(1))
    words[:, 0] = 0
    words[:, 3] = 1
    words[:, 6] = 1
    labels = (words > 6).long() if per_token else (words[:, 1] > 6).long()
    return model, words, labels


@pytest.mark.parametrize("per_token", [False, True], ids=["pairs", "token classification"])
def test_pasta_on_text(per_token: bool, milo: Hardware) -> None:
    """Three special tokens of a pair; training lowers the loss and writes no cell, on tiles too."""
    model, words, labels = text(per_token)
    chip = map_model(model, milo)
    adapter = PASTA(positions=(0, 3, -1), steps=60, learning_rate=5e-2).attach(model, chip)
    assert adapter.editor.vectors.shape == (2, 3, 6)
    loss = fine_tune(model, adapter, words, labels).loss
    assert sum(loss[-10:]) < sum(loss[:10]) and chip.ledger.writes("adapt") == 0


def test_prompts_between_patches_need_patches() -> None:
    model, _, _ = text(per_token=False)
    with pytest.raises(MethodError, match="TinyText reads no patches; PASTA works on text"):
        VPT().attach(model)
    PASTA(positions=(0, 9)).attach(model)
    with pytest.raises(MethodError, match="do not all exist in a sequence of 7 tokens"):
        model(torch.zeros(1, 7, dtype=torch.long))
