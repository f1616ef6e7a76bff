"""The vision transformer: names, shapes, an independent forward pass, and the shipped weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.cli import main
from benchmarks.problems.backbones import (
    BACKBONE_FOLDER,
    AssetError,
    VisionTransformer,
    load_backbone,
    read_backbone_facts,
    save_backbone,
)
from benchmarks.problems.pretraining.pretrain import BackboneRecipe, pretrain_backbone
from benchmarks.problems.tasks import base_data
from peft_methods import accuracy

SHIPPED = BACKBONE_FOLDER / "digits_vit.safetensors"


def test_every_product_is_a_named_linear_layer() -> None:
    model = VisionTransformer()
    names = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    projections = ("attention.query", "attention.key", "attention.value", "attention.output")
    expected = {
        f"blocks.{block}.{projection}" for block in range(3) for projection in (*projections, "mlp.up", "mlp.down")
    }
    assert names == expected | {"embed", "head"}
    assert isinstance(model.norm, nn.LayerNorm)


def test_patches_are_cut_row_by_row() -> None:
    model = VisionTransformer(image_size=4, patch_size=2, width=8, heads=2, mlp_width=8)
    patches = model.patches(torch.arange(16.0).view(1, 4, 4))
    assert patches.tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]]


@torch.no_grad()
def test_block_agrees_with_torch() -> None:
    """torch's own encoder layer is the same block when it holds the same weights."""
    block = load_backbone().blocks[0]
    oracle = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    attention = block.attention
    projections = (attention.query, attention.key, attention.value)
    oracle.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
    oracle.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    oracle.self_attn.out_proj.load_state_dict(attention.output.state_dict())
    oracle.linear1.load_state_dict(block.mlp.up.state_dict())
    oracle.linear2.load_state_dict(block.mlp.down.state_dict())
    oracle.norm1.load_state_dict(block.attention_norm.state_dict())
    oracle.norm2.load_state_dict(block.mlp_norm.state_dict())
    tokens = torch.randn(5, 17, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(tokens), oracle(tokens), rtol=1e-4, atol=1e-5)


def test_shapes_and_gradients_reach_every_parameter() -> None:
    model = VisionTransformer(image_size=6, patch_size=3, width=8, depth=2, heads=2, mlp_width=12)
    images = torch.rand(5, 6, 6, generator=torch.Generator().manual_seed(0))
    assert model.features(images).shape == (5, 8)
    logits = model(images)
    assert logits.shape == (5, 10)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": 3}, "patch_size 3 does not tile image_size 8"),
        ({"heads": 5}, "heads 5 do not divide width 64"),
        ({"depth": 0}, "depth is 0; it is a count and must be at least 1"),
    ],
)
def test_refused_arguments(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VisionTransformer(**arguments)


def test_refused_images() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 64\); this backbone reads \(n, 8, 8\)"):
        VisionTransformer()(torch.zeros(3, 64))


def test_shipped_backbone_reaches_the_accuracy_in_its_header() -> None:
    model = load_backbone()
    data = base_data()
    reached = accuracy(model, data.test.tensor, data.test.labels)
    assert not model.training
    assert reached > 0.93
    assert reached == pytest.approx(float(read_backbone_facts()["test_accuracy"]), abs=0.006)
    assert SHIPPED.stat().st_size < 1_000_000


def test_round_trip_of_another_shape(tmp_path: Path) -> None:
    model = VisionTransformer(width=8, depth=1, heads=2, mlp_width=12, classes=3)
    save_backbone(tmp_path / "small.safetensors", model, {"test_accuracy": "0.5"})
    loaded = load_backbone("small", tmp_path)
    assert loaded.constructor_arguments == model.constructor_arguments
    assert read_backbone_facts("small", tmp_path)["test_accuracy"] == "0.5"
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.safetensors"]


def test_missing_backbone_names_the_nearest() -> None:
    with pytest.raises(AssetError, match=r"did you mean 'digits_vit'\?"):
        load_backbone("digits_vti")


@pytest.mark.parametrize("kept_bytes", [0, 5, 1000, -1])
def test_truncated_backbone(tmp_path: Path, kept_bytes: int) -> None:
    (tmp_path / "digits_vit.safetensors").write_bytes(SHIPPED.read_bytes()[:kept_bytes])
    with pytest.raises(AssetError, match=r"not a readable backbone.*restore the file"):
        load_backbone(folder=tmp_path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "no constructor arguments"),
        ({"constructor": '{"depht": 3}'}, "constructor arguments are wrong"),
        ({"constructor": "{"}, "constructor arguments are wrong"),
        ({"constructor": '{"depth": 2}'}, "do not fit its constructor arguments"),
    ],
)
def test_wrong_headers(tmp_path: Path, header: dict[str, str] | None, message: str) -> None:
    save_file(load_file(SHIPPED), tmp_path / "digits_vit.safetensors", header)
    with pytest.raises(AssetError, match=message):
        load_backbone(folder=tmp_path)


def test_pretraining_is_deterministic_and_leaves_the_global_generator_to_itself() -> None:
    recipe = BackboneRecipe(epochs=1)
    first = pretrain_backbone(recipe).state_dict()
    torch.manual_seed(123)
    second = pretrain_backbone(recipe).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_command_line_writes_a_loadable_backbone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["pretrain", "backbone", "--epochs", "1", "--output", str(tmp_path / "short.safetensors")])
    accuracy_printed = capsys.readouterr().out.split()[-1]
    assert read_backbone_facts("short", tmp_path)["test_accuracy"] == accuracy_printed
    assert load_backbone("short", tmp_path).constructor_arguments["width"] == 64
