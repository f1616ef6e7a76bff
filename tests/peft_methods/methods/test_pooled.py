"""The pool is a setting: a name that ships, a folder, or an object, of which a file names only the digest."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from benchmarks.problems.pools import POOL_FOLDER
from peft_methods import LoRA, LoRAFusion, LoRAHub, MethodError, Pool
from peft_methods.checkpoints.lora import save_lora
from peft_methods.errors import PoolError
from peft_methods.methods.pooled import with_pool
from tests.conftest import tiny_net, tiny_pool


def test_a_pool_is_found_by_name_by_folder_or_given(tmp_path: Path) -> None:
    assert LoRAFusion(pool="digits_vit").find_pool() == Pool.load(POOL_FOLDER / "digits_vit")
    pool = tiny_pool(tiny_net())
    for member in pool.members:
        save_lora(tmp_path / member.name, member, "tiny")
    for named in (tmp_path, str(tmp_path), pool):
        assert LoRAHub(pool=named).find_pool() == pool
        assert LoRAHub(pool=named).attach(tiny_net()).trained_values == 3


def test_no_pool_is_no_key_and_no_tensor_leaves() -> None:
    pool = tiny_pool(tiny_net())
    assert "pool" not in LoRAFusion().table()
    assert tomllib.loads(LoRAFusion(pool=pool).to_toml()) == {"pool": f"digest:{pool.digest()}"}
    assert LoRAFusion(pool=pool) == LoRAFusion(pool=tiny_pool(tiny_net())) != LoRAFusion()
    assert LoRAFusion(pool=pool).digest() != LoRAFusion(pool=tiny_pool(tiny_net(), seed=9)).digest()
    assert repr(pool) == "Pool of rank 2: module0, module1, module2"


def test_a_pool_is_provided_only_where_one_is_missing() -> None:
    own, other = tiny_pool(tiny_net()), tiny_pool(tiny_net(), seed=9)
    assert with_pool(LoRAFusion(), lambda: other) == LoRAFusion(pool=other)
    assert with_pool(LoRAFusion(pool=own), lambda: other) == LoRAFusion(pool=own)
    assert with_pool(LoRA(), lambda: other) == LoRA()


def test_pools_that_are_not_there_are_refused() -> None:
    with pytest.raises(MethodError, match="needs a pool"):
        LoRAHub().attach(tiny_net())
    with pytest.raises(MethodError, match="give the pool again"):
        LoRAFusion(**tomllib.loads(LoRAFusion(pool=tiny_pool(tiny_net())).to_toml())).attach(tiny_net())
    with pytest.raises(PoolError, match=r"no pool of that name ships; did you mean 'digits_vit'"):
        LoRAFusion(pool="digits_vitt").attach(tiny_net())
