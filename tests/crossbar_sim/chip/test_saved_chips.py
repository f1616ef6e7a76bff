"""A saved and loaded chip goes on as the one that was never saved; what is not such a chip is one sentence."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from crossbar_sim import Chip, CrossbarError, Hardware, MappingError, map_model, unmap
from crossbar_sim.chip import saving
from tests.crossbar_sim.chip.futures import DESIGNS, Net, future, with_a_past
from tests.crossbar_sim.layers.test_layer_kinds import model_of


def other_values() -> Net:
    """Of the same architecture, with other numbers."""
    return Net(seed=5)


def plain(model: nn.Module) -> list[tuple[str, bytes]]:
    return [(name, value.numpy().tobytes()) for name, value in model.state_dict().items()]


@pytest.mark.parametrize("design", DESIGNS)
def test_a_loaded_chip_has_the_future_of_the_saved_one(design: str, tmp_path: Path) -> None:
    model = with_a_past(DESIGNS[design](), seed=3)
    chip = Chip.of(model)
    chip.save(tmp_path / "chip")
    fresh = other_values()
    loaded = Chip.load(tmp_path / "chip", fresh)
    assert Chip.of(fresh) is loaded and loaded.hardware == chip.hardware
    assert loaded.ledger == chip.ledger
    assert future(fresh) == future(model)


@pytest.mark.parametrize("kind", ["linear", "conv1d", "conv2d", "attention", "lstm", "gru", "rnn"])
def test_every_kind_of_layer_is_put_back(kind: str, tmp_path: Path, milo: Hardware) -> None:
    model, x = model_of(kind)
    fresh = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.add_(1.0)
    chip = map_model(model, milo, exclude=())
    model.eval()(x)
    chip.save(tmp_path)
    Chip.load(tmp_path, fresh)
    assert not fresh.training and torch.equal(fresh(x), model(x))
    unmap(fresh, weights="cells")
    unmap(model, weights="cells")
    assert plain(fresh) == plain(model)


def test_loading_neither_programs_nor_bills(tmp_path: Path, milo: Hardware) -> None:
    model = with_a_past(milo)
    chip = Chip.of(model)
    chip.save(tmp_path)
    loaded = Chip.load(tmp_path, other_values())
    assert loaded.ledger.rows() == chip.ledger.rows() and loaded.ledger.writes() == chip.ledger.writes()
    assert np.array_equal(loaded.writes(), chip.writes())


def test_two_designs_and_matrices_without_a_layer_are_restored_by_name(tmp_path: Path, milo: Hardware) -> None:
    other = milo.replace(tile=milo.tile.replace(rows=4))
    model = Net()
    chip = map_model(model, milo, hardware_of={"mix": other})
    chip.matrix("mix.lora_A", torch.randn(2, 9))
    chip.save(tmp_path)
    loaded = Chip.load(tmp_path, other_values())
    assert loaded.matrices["mix"].hardware == other and loaded.matrices["conv"].hardware == milo
    x = torch.ones(1, 9)
    assert torch.equal(loaded.matrices["mix.lora_A"].read(x), chip.matrices["mix.lora_A"].read(x))


def test_a_chip_without_a_model_is_loaded_without_one(tmp_path: Path, milo: Hardware) -> None:
    chip = Chip(milo, seed=2)
    chip.matrix("w", torch.randn(3, 4))
    chip.save(tmp_path)
    loaded = Chip.load(tmp_path)
    assert torch.equal(loaded.matrices["w"].weight(), chip.matrices["w"].weight())
    with pytest.raises(MappingError, match="leave it out"):
        Chip.load(tmp_path, Net())
    map_model(Net(), chip)
    chip.save(tmp_path)
    with pytest.raises(MappingError, match="give one like it"):
        Chip.load(tmp_path)


def test_a_chip_is_saved_over_an_older_one_and_leaves_two_files(tmp_path: Path, milo: Hardware) -> None:
    model = with_a_past(milo)
    chip = Chip.of(model)
    chip.save(tmp_path)
    chip.wait(10.0)
    chip.save(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2
    fresh = other_values()
    Chip.load(tmp_path, fresh)
    assert future(fresh) == future(model)


def test_a_loaded_chip_can_be_saved_again(tmp_path: Path, milo: Hardware) -> None:
    model = with_a_past(milo)
    Chip.of(model).save(tmp_path / "a")
    fresh = other_values()
    Chip.load(tmp_path / "a", fresh).save(tmp_path / "b")
    assert {one.name: one.read_bytes() for one in (tmp_path / "a").iterdir()} == {
        one.name: one.read_bytes() for one in (tmp_path / "b").iterdir()
    }


def test_another_model_is_refused_and_left_as_it_was(tmp_path: Path, milo: Hardware) -> None:
    Chip.of(with_a_past(milo)).save(tmp_path)
    wider, renamed, digital, kind, half = Net(), Net(), Net(), Net(), Net().bfloat16()
    wider.mix = nn.Linear(9, 10)
    renamed.blend = renamed.mix
    del renamed.mix
    digital.extra = nn.Linear(2, 2)
    kind.mix = nn.Identity()
    on_tiles = Net()
    map_model(on_tiles, milo)
    for model in (wider, renamed, digital, kind, half, on_tiles):
        before, kinds = plain(model.float()), [type(one) for one in model.modules()]
        if model is half:
            model.bfloat16()
        with pytest.raises(MappingError, match="the chip was saved with another model"):
            Chip.load(tmp_path, model)
        assert plain(model.float()) == before and [type(one) for one in model.modules()] == kinds


def test_damage_anywhere_is_one_sentence(tmp_path: Path, milo: Hardware) -> None:
    Chip.of(with_a_past(milo)).save(tmp_path)
    for file in list(tmp_path.iterdir()):
        whole = file.read_bytes()
        places = np.linspace(0, len(whole) - 1, 25, dtype=int)
        damaged = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in places]
        damaged += [b"", whole[: len(whole) // 2], b"[" * 100_000, b"{}", b"null", pickle.dumps([1])]
        for content in damaged:
            file.write_bytes(content)
            with pytest.raises(CrossbarError) as refused:
                Chip.load(tmp_path, other_values())
            assert len(str(refused.value)) <= 400 + len(str(tmp_path))
        file.unlink()
        with pytest.raises(MappingError):
            Chip.load(tmp_path, other_values())
        file.write_bytes(whole)
    Chip.load(tmp_path, other_values())


def test_facts_of_another_kind_are_one_sentence_even_with_the_right_digest(tmp_path: Path, milo: Hardware) -> None:
    Chip.of(with_a_past(milo)).save(tmp_path)
    path = tmp_path / saving.FACTS_FILE
    whole = json.loads(path.read_text())
    del whole["digest"]
    for key in whole:
        for wrong in (None, [], {}, "x", -1, 10**30, [[]], [{}]):
            if wrong == whole[key]:
                continue
            facts = {**whole, key: wrong}
            path.write_text(json.dumps({"digest": saving._digest(facts), **facts}))
            try:
                Chip.load(tmp_path, other_values())
            except CrossbarError as error:
                assert len(str(error)) <= 400 + 2 * len(str(tmp_path))
            else:
                assert key in ("released", "skipped", "hardware")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, milo: Hardware) -> None:
    (tmp_path / "file").write_text("")
    chip = map_model(Net(), milo)
    with pytest.raises(MappingError, match="choose another folder"):
        chip.save(tmp_path / "file")
    with pytest.raises(MappingError, match=r"does not exist; give the folder that chip\.save\(\) wrote"):
        Chip.load(tmp_path, Net())


def test_a_kill_between_the_two_files_leaves_the_older_chip(
    tmp_path: Path, milo: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_a_past(milo)
    chip = Chip.of(model)
    chip.save(tmp_path)
    before = copy.deepcopy(model)
    chip.wait(1e5)

    def killed(path: Path, content: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        chip.save(tmp_path)
    fresh = other_values()
    Chip.load(tmp_path, fresh)
    assert future(fresh) == future(before)


def test_layers_that_were_replaced_and_several_models_are_refused(tmp_path: Path, milo: Hardware) -> None:
    model = Net()
    chip = map_model(model, milo)
    model.head = nn.Linear(9, 4)
    with pytest.raises(MappingError, match=r"'head\.weight' is not in Net any more"):
        chip.save(tmp_path)
    map_model(nn.Sequential(nn.Linear(2, 2)), chip)
    with pytest.raises(MappingError, match="layers of 2 models"):
        chip.save(tmp_path)
    assert not list(tmp_path.iterdir())
    unmap(model, weights="master")
    chip.save(tmp_path)


def test_a_chip_with_a_model_is_loaded_whatever_was_imported(tmp_path: Path) -> None:
    map_model(nn.Sequential(nn.Linear(3, 2)), "milo2021_128x128").save(tmp_path)
    code = (
        "import sys; from torch import nn; from crossbar_sim.chip.chip import Chip; "
        "assert 'crossbar_sim.layers' not in sys.modules; model = nn.Sequential(nn.Linear(3, 2)); "
        f"Chip.load({str(tmp_path)!r}, model); print(type(model[0]).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "MappedLinear\n"
