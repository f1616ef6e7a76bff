"""Adapters on disk: exact round trips, PEFT's names, and refusals that say what to do."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from peft_methods.checkpoints.folder import PREFIX
from peft_methods.checkpoints.lora import load_lora, save_lora
from peft_methods.checkpoints.pool import Pool
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.errors import CheckpointError, PoolError

QUERY = "blocks.0.attention.query"
DOWN = "blocks.1.mlp.down"


def make_weights(
    name: str = "adapter",
    rank: int = 2,
    alpha: float = 4.0,
    shapes: dict[str, tuple[int, int]] | None = None,
    dora: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> LoRAWeights:
    """Random adapter; ``shapes`` maps module names to (d_out, d_in)."""
    shapes = shapes or {QUERY: (4, 3), DOWN: (5, 7)}
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, dtype=dtype)

    a = {module: draw(rank, d_in) for module, (_, d_in) in shapes.items()}
    b = {module: draw(d_out, rank) for module, (d_out, _) in shapes.items()}
    magnitude = {m: draw(d_out).abs() for m, (d_out, _) in shapes.items()} if dora else None
    return LoRAWeights(name, rank, alpha, a, b, magnitude)


def write(folder: Path, tensors: dict[str, torch.Tensor], **config: Any) -> Path:
    """A folder as another program would write it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    text = json.dumps({"peft_type": "LORA", "target_modules": ["query"], **config})
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    return folder


def factors(rank: int = 2, module: str = QUERY, d_out: int = 4, d_in: int = 3) -> dict[str, Any]:
    """A and B of one module under PEFT's keys."""
    generator = torch.Generator().manual_seed(1)
    return {
        f"base_model.model.{module}.lora_A.weight": torch.randn(rank, d_in, generator=generator),
        f"base_model.model.{module}.lora_B.weight": torch.randn(d_out, rank, generator=generator),
    }


def assert_same(left: LoRAWeights, right: LoRAWeights) -> None:
    assert (left.name, left.rank, left.alpha) == (right.name, right.rank, right.alpha)
    assert left.scaling == right.scaling
    assert (left.magnitude is None) == (right.magnitude is None)
    pairs = [(left.a, right.a), (left.b, right.b), (left.magnitude or {}, right.magnitude or {})]
    for one, other in pairs:
        assert set(one) == set(other)
        for module in one:
            assert one[module].dtype == other[module].dtype
            assert torch.equal(one[module], other[module])


module_names = st.lists(
    st.from_regex(r"[a-z]{1,6}(\.[a-z0-9_]{1,5}){0,3}", fullmatch=True),
    min_size=1,
    max_size=4,
    unique=True,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=module_names,
    rank=st.integers(1, 5),
    alpha=st.floats(1e-3, 1e3),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    dora=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_round_trip_is_exact(
    tmp_path: Path,
    names: list[str],
    rank: int,
    alpha: float,
    size: tuple[int, int],
    dora: bool,
    dtype: torch.dtype,
    seed: int,
) -> None:
    shapes = {name: size for name in names}
    weights = make_weights("adapter", rank, alpha, shapes, dora, seed, dtype)
    save_lora(tmp_path / "adapter", weights, "digits_vit")
    assert_same(load_lora(tmp_path / "adapter"), weights)


@pytest.mark.parametrize("dora", [False, True])
def test_files_are_those_of_peft(tmp_path: Path, dora: bool) -> None:
    save_lora(tmp_path, make_weights(dora=dora), "digits_vit")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    keys = {f"base_model.model.{m}.lora_{f}.weight" for m in (QUERY, DOWN) for f in "AB"}
    if dora:
        keys |= {f"base_model.model.{m}.lora_magnitude_vector" for m in (QUERY, DOWN)}
    assert set(load_file(tmp_path / "adapter_model.safetensors")) == keys
    text = (tmp_path / "adapter_config.json").read_text(encoding="utf-8")
    config = json.loads(text)
    assert text == json.dumps(config, indent=2, sort_keys=True) + "\n"
    assert config["peft_type"] == "LORA"
    assert (config["r"], config["lora_alpha"], config["use_dora"]) == (2, 4, dora)
    assert config["target_modules"] == sorted((QUERY, DOWN))
    assert config["inference_mode"] is True
    assert config["base_model_name_or_path"] == "digits_vit"


def test_weight_change_is_scaling_times_b_a() -> None:
    weights = make_weights(rank=2, alpha=6.0)
    torch.testing.assert_close(weights.weight_change(DOWN), 3.0 * weights.b[DOWN] @ weights.a[DOWN], rtol=1e-6, atol=0)


def test_saving_again_replaces_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    save_lora(tmp_path, make_weights(seed=0), "digits_vit")
    second = make_weights(tmp_path.name, seed=1)
    save_lora(tmp_path, second, "digits_vit")
    assert_same(load_lora(tmp_path), second)
    assert len(list(tmp_path.iterdir())) == 2


def test_shared_memory_is_saved_as_separate_tensors(tmp_path: Path) -> None:
    shared = torch.ones(2, 3)
    weights = LoRAWeights("one", 2, 2.0, {"p": shared, "q": shared}, {"p": torch.ones(4, 2), "q": torch.ones(4, 2)})
    save_lora(tmp_path / "one", weights, "digits_vit")
    assert_same(load_lora(tmp_path / "one"), weights)


def test_defaults_of_peft_and_unknown_keys(tmp_path: Path) -> None:
    weights = load_lora(write(tmp_path, factors(rank=8), peft_version="99", velora_config=None))
    assert (weights.rank, weights.alpha, weights.scaling) == (8, 8.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    stored = {key: tensor.to(dtype) for key, tensor in factors().items()}
    weights = load_lora(write(tmp_path, stored, r=2, lora_alpha=2))
    assert weights.a[QUERY].dtype == torch.float32
    assert torch.equal(weights.a[QUERY], next(iter(stored.values())).float())


def test_rslora_is_folded_into_alpha(tmp_path: Path) -> None:
    weights = load_lora(write(tmp_path, factors(rank=4), r=4, lora_alpha=8, use_rslora=True))
    assert weights.rank == 4
    assert weights.scaling == pytest.approx(8 / math.sqrt(4), rel=1e-15)


def test_rank_and_alpha_patterns_keep_every_weight_change(tmp_path: Path) -> None:
    tensors = factors(rank=2) | factors(rank=3, module=DOWN, d_out=5, d_in=7)
    patterns = {"rank_pattern": {"mlp.down": 3}, "alpha_pattern": {"down": 12}}
    weights = load_lora(write(tmp_path, tensors, r=2, lora_alpha=2, **patterns))
    assert (weights.rank, weights.scaling) == (3, 1.0)
    for module, scaling in ((QUERY, 1.0), (DOWN, 4.0)):
        a = tensors[f"base_model.model.{module}.lora_A.weight"]
        b = tensors[f"base_model.model.{module}.lora_B.weight"]
        torch.testing.assert_close(weights.weight_change(module), scaling * b @ a)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "VERA"}, "peft_type is 'VERA'.*convert the adapter to LoRA"),
        ({"init_lora_weights": "pissa_niter_16"}, "changed the base weights; convert"),
        ({"init_lora_weights": "olora"}, "changed the base weights"),
        ({"init_lora_weights": "corda"}, "changed the base weights"),
        ({"layer_replication": [[0, 2]]}, "layer_replication is set"),
        ({"r": 3}, "configuration gives it rank 3; set r"),
        ({"r": 0}, "r is 0; a rank is an integer of at least 1"),
        ({"r": "2"}, "r is '2'"),
        ({"lora_alpha": -1}, "lora_alpha is -1; alpha is a positive finite number"),
        ({"lora_alpha": None}, "lora_alpha is None"),
        ({"alpha_pattern": {"query": 0}}, "alpha_pattern is 0"),
        ({"rank_pattern": {"(": 2}}, "no regular expression"),
        ({"rank_pattern": [2]}, "rank_pattern is not an object"),
        ({"use_dora": True}, "use_dora is True but the file holds 0 magnitude vectors"),
    ],
)
def test_refused_configurations(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    write(tmp_path, factors(), **{"r": 2, "lora_alpha": 4, **config})
    with pytest.raises(CheckpointError, match=message):
        load_lora(tmp_path)


KEY_A, KEY_B = factors()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({KEY_B: None}, "has A but no B"),
        ({KEY_A: None}, "has B but no A"),
        ({KEY_B: torch.zeros(4, 5)}, "configuration gives it rank 2"),
        ({KEY_A: torch.full((2, 3), math.nan)}, "A of module .* holds NaN or infinite"),
        ({KEY_B: torch.full((4, 2), math.inf)}, "B of module .* holds NaN or infinite"),
        ({KEY_A: torch.full((2, 3), 3e38)}, "the change of module .* may be 1.8.*e\\+39, more than the 1e\\+15"),
        ({KEY_B: torch.full((4, 2), 3e15)}, "the change of module .* its training diverged"),
        ({KEY_A: torch.zeros(2, 3, 1, 1)}, "only linear layers are supported"),
        ({KEY_A: torch.tensor(1.0)}, "only linear layers are supported"),
        ({KEY_A: torch.zeros(2, 3, dtype=torch.int8)}, "holds torch.int8"),
        ({"base_model.model.head.weight": torch.zeros(2)}, "not a LoRA factor.*modules_to_save"),
        ({f"base_model.model.{QUERY}.lora_B.bias": torch.zeros(4)}, "not a LoRA factor"),
        ({KEY_A: None, KEY_B: None}, "holds no LoRA factor"),
    ],
)
def test_refused_tensors(tmp_path: Path, change: dict[str, torch.Tensor | None], message: str) -> None:
    tensors = {key: value for key, value in (factors() | change).items() if value is not None}
    write(tmp_path, tensors, r=2, lora_alpha=4)
    with pytest.raises(CheckpointError, match=message):
        load_lora(tmp_path)


def test_magnitude_of_wrong_length_or_without_use_dora(tmp_path: Path) -> None:
    tensors = factors() | {f"base_model.model.{QUERY}.lora_magnitude_vector": torch.ones(3)}
    write(tmp_path, tensors, r=2, lora_alpha=4, use_dora=True)
    with pytest.raises(CheckpointError, match=r"magnitude of module .* expected \(4\)"):
        load_lora(tmp_path)
    write(tmp_path, tensors, r=2, lora_alpha=4)
    with pytest.raises(CheckpointError, match="use_dora is False but the file holds 1"):
        load_lora(tmp_path)


@pytest.mark.parametrize("kept_bytes", [0, 4, 40, -1])
def test_truncated_weights(tmp_path: Path, kept_bytes: int) -> None:
    path = write(tmp_path, factors(), r=2) / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
        load_lora(tmp_path)


def test_missing_files_and_pickles(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"adapter_config.json does not exist"):
        load_lora(tmp_path)
    write(tmp_path, factors(), r=2)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"adapter_model.safetensors does not exist"):
        load_lora(tmp_path)
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match=r"is a pickle.*safe_serialization=True"):
        load_lora(tmp_path)


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "not a JSON object")])
def test_broken_configuration(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, factors(), r=2)
    (tmp_path / "adapter_config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        load_lora(tmp_path)


@pytest.mark.parametrize(("rank", "alpha"), [(0, 1.0), (1, 0.0), (1, math.nan), (1, math.inf)])
def test_rank_and_alpha_out_of_range(rank: int, alpha: float) -> None:
    with pytest.raises(CheckpointError, match="choose"):
        LoRAWeights("bad", rank, alpha, {"m": torch.ones(rank, 2)}, {"m": torch.ones(2, rank)})


def ones(module: str) -> dict[str, torch.Tensor]:
    """A and B of rank 3, all ones."""
    return {f"{PREFIX}{module}.lora_A.weight": torch.ones(3, 4), f"{PREFIX}{module}.lora_B.weight": torch.ones(4, 3)}


@pytest.mark.parametrize(
    ("pattern", "module", "matches"),
    [
        ("query", "blocks.0.attention.query", True),
        (r".*\.0\.attention.(query|key)", "blocks.0.attention.query", True),
        (r"^blocks\.\d+\.attention\.query", "blocks.0.attention.query", True),
        ("blocks.[^.]+.attention.query", "blocks.0.attention.query", True),
        ("uery", "blocks.0.attention.query", False),
    ],
)
def test_a_pattern_is_matched_as_peft_does(tmp_path: Path, pattern: str, module: str, matches: bool) -> None:
    tensors = {
        PREFIX + module + ".lora_A.weight": torch.ones(3, 4),
        PREFIX + module + ".lora_B.weight": torch.ones(4, 3),
    }
    folder = write(tmp_path, tensors, r=3, lora_alpha=3, alpha_pattern={pattern: 12})
    assert float(load_lora(str(folder)).b[module][0, 0]) == (4.0 if matches else 1.0)


@pytest.mark.parametrize(
    "pattern",
    [
        "([a-z.0-9]+)+X",
        20 * ".*" + "Z",
        "(.*.*.*)*Z",
        40 * "(a|a)" + "Z",
        "(a|aa)+Z",
        "a{1,9999}",
        r"(.)\1",
        "(?=.*)",
        999 * "a",
    ],
)
def test_a_pattern_that_could_run_for_ever_is_refused(tmp_path: Path, pattern: str) -> None:
    module = 60 * "a"
    tensors = {
        PREFIX + module + ".lora_A.weight": torch.ones(3, 4),
        PREFIX + module + ".lora_B.weight": torch.ones(4, 3),
    }
    with pytest.raises(CheckpointError, match="for ever") as error:
        load_lora(write(tmp_path, tensors, r=3, rank_pattern={pattern: 3}))
    assert len(str(error.value)) <= 400


def test_folders_may_be_text(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_lora(str(tmp_path))
    with pytest.raises(PoolError, match="not a folder"):
        Pool.load(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", [100_000 * "[", '{"r": ' + 30 * "9" + "}", '{"r": NaN}', "", "[]"])
def test_a_configuration_beyond_the_bounds_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(CheckpointError) as error:
        load_lora(tmp_path)
    assert len(str(error.value)) <= 400
