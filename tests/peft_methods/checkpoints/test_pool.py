"""Pools: unification that changes no member, stacked factors, digests, and refusals."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from peft_methods.checkpoints.lora import save_lora
from peft_methods.checkpoints.pool import Pool
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.errors import PoolError

SHAPES = {"blocks.10.mlp.up": (6, 4), "blocks.2.mlp.up": (6, 4), "blocks.2.mlp.down": (4, 6)}


def make_member(
    name: str,
    rank: int = 2,
    alpha: float = 4.0,
    seed: int = 0,
    shapes: dict[str, tuple[int, int]] | None = None,
) -> LoRAWeights:
    """Random float64 adapter; ``shapes`` maps module names to (d_out, d_in)."""
    generator = torch.Generator().manual_seed(seed)
    a, b = {}, {}
    for module, (d_out, d_in) in (shapes or SHAPES).items():
        a[module] = torch.randn(rank, d_in, generator=generator, dtype=torch.float64)
        b[module] = torch.randn(d_out, rank, generator=generator, dtype=torch.float64)
    return LoRAWeights(name, rank, alpha, a, b)


def test_equal_members_are_kept_as_they_are() -> None:
    members = (make_member("first"), make_member("second", seed=1))
    pool = Pool(members)
    assert pool.members == members
    assert pool.names == ("first", "second")
    assert (len(pool), pool.rank, pool.scaling) == (2, 2, 2.0)


def test_modules_are_in_natural_order() -> None:
    pool = Pool((make_member("only"),))
    assert pool.modules == ("blocks.2.mlp.down", "blocks.2.mlp.up", "blocks.10.mlp.up")


@settings(max_examples=40, deadline=None)
@given(
    recipes=st.lists(
        st.tuples(st.integers(1, 6), st.floats(0.1, 64.0), st.integers(0, 2**31)),
        min_size=1,
        max_size=4,
    )
)
def test_unification_keeps_every_weight_change(recipes: list[tuple[int, float, int]]) -> None:
    members = [make_member(str(i), *recipe) for i, recipe in enumerate(recipes)]
    pool = Pool(tuple(members))
    assert pool.rank == max(member.rank for member in members)
    for before, after in zip(members, pool.members, strict=True):
        assert after.rank == pool.rank
        assert after.scaling == pytest.approx(pool.scaling, rel=1e-14)
        for module in pool.modules:
            torch.testing.assert_close(
                after.weight_change(module), before.weight_change(module), rtol=1e-12, atol=1e-12
            )


def test_padding_is_zero_and_scaling_is_folded_into_b() -> None:
    small, large = make_member("small", 1, 1.0), make_member("large", 3, 6.0)
    module = "blocks.2.mlp.up"
    padded = Pool((small, large)).members[0]
    assert torch.equal(padded.a[module][:1], small.a[module])
    assert torch.equal(padded.b[module][:, :1], 0.5 * small.b[module])
    assert not padded.a[module][1:].any()
    assert not padded.b[module][:, 1:].any()


def test_stacked_factors_are_one_read_for_all_members() -> None:
    pool = Pool(tuple(make_member(str(seed), seed=seed) for seed in range(3)))
    for module, (d_out, d_in) in SHAPES.items():
        stacked_a, stacked_b = pool.stacked_a(module), pool.stacked_b(module)
        assert stacked_a.shape == (3 * 2, d_in)
        assert stacked_b.shape == (d_out, 3 * 2)
        for index, member in enumerate(pool.members):
            rows = slice(2 * index, 2 * index + 2)
            assert torch.equal(stacked_a[rows], member.a[module])
            assert torch.equal(stacked_b[:, rows], member.b[module])


def test_digest_sees_weights_order_names_and_scaling() -> None:
    first, second = make_member("first"), make_member("second", seed=1)
    module = "blocks.2.mlp.up"
    nudged = {**second.a, module: second.a[module] + 1e-15}
    variants = [
        (first, second),
        (second, first),
        (first,),
        (first, replace(second, name="third")),
        (first, replace(second, a=nudged)),
        (replace(first, alpha=5.0), replace(second, alpha=5.0)),
    ]
    assert Pool((first, second)).digest() == Pool((first, make_member("second", seed=1))).digest()
    assert len({Pool(members).digest() for members in variants}) == len(variants)


def test_load_sorts_by_name_and_skips_hidden_folders(tmp_path: Path) -> None:
    for seed, name in enumerate(("rot90", "blur", "invert")):
        save_lora(tmp_path / name, make_member(name, seed=seed), "digits_vit")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.md").write_text("a pool", encoding="utf-8")
    pool = Pool.load(tmp_path)
    assert pool.names == ("blur", "invert", "rot90")
    assert torch.equal(pool.stacked_a("blocks.2.mlp.up")[:2], make_member("blur", seed=1).a["blocks.2.mlp.up"])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ((), "at least one LoRA module"),
        ((make_member("x"), make_member("x", seed=1)), "two members are called 'x'"),
        (
            (make_member("x"), make_member("y", shapes={"blocks.2.mlp.up": (6, 4)})),
            "'x' targets module 'blocks.2.mlp.down' but member 'y' does not",
        ),
        (
            (make_member("x"), make_member("y", shapes=SHAPES | {"blocks.2.mlp.up": (6, 5)})),
            "'blocks.2.mlp.up' is 6 x 4 \\(out x in\\) in member 'x' but 6 x 5 in member 'y'",
        ),
        (
            (replace(make_member("x"), magnitude={m: torch.ones(o) for m, (o, _) in SHAPES.items()}),),
            "'x' has DoRA magnitudes",
        ),
    ],
)
def test_refused_pools(members: tuple[LoRAWeights, ...], message: str) -> None:
    with pytest.raises(PoolError, match=message):
        Pool(members)


def test_refused_folders_and_modules(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="is not a folder"):
        Pool.load(tmp_path / "nowhere")
    with pytest.raises(PoolError, match="has no sub-folders"):
        Pool.load(tmp_path)
    pool = Pool((make_member("only"),))
    for stacked in (pool.stacked_a, pool.stacked_b):
        with pytest.raises(PoolError, match=r"no module 'head'; it has blocks.2.mlp.down"):
            stacked("head")
