"""The speed comparison: it times side by side, refuses what does not compute the same, and says what it measured."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numba
import numpy as np
import pytest
import torch

from benchmarks.peers import growth, mvm, products
from benchmarks.peers.case import Case, DisagreementError, measure, relative_error, threads
from benchmarks.peers.step_profile import group


def small_case() -> Case:
    case = Case("small", "a small product", "torch", products=1000)
    x = torch.ones(10, 10)
    case.add("torch", lambda: x @ x)
    case.add("numpy", lambda: x.numpy() @ x.numpy(), relative_error(x @ x, np.full((10, 10), 10.0)))
    return case


def test_records_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(mvm.CASES, "B", small_case)
    mvm.main("B", rounds=3, json=tmp_path / "records.json")
    records = json.loads((tmp_path / "records.json").read_text())
    assert [record["simulator"] for record in records] == ["torch", "numpy"]
    for record in records:
        assert {"case", "simulator", "threads", "median_s", "gmac_per_s", "relative_error"} <= set(record)
        assert record["gmac_per_s"] == pytest.approx(1000 / record["median_s"] / 1e9)
        assert record["least_s"] <= record["median_s"]
    assert records[0]["times_limit"] == 1
    printed = capsys.readouterr().out
    assert "1 thread; Python" in printed and "| numpy |" in printed


def test_disagreement_is_refused() -> None:
    with pytest.raises(DisagreementError, match=r"case small: wrong is off by 0\.01"):
        small_case().add("wrong", lambda: None, 0.01)
    with pytest.raises(DisagreementError, match="off by nan"):
        small_case().add("wrong", lambda: None, float("nan"))


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads(), numba.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), numba.get_num_threads()) == before
    assert len(measure(small_case(), 1, rounds=3)) == 2


def test_noise_of_the_wrong_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "ROWS", 32)
    monkeypatch.setattr(products, "INPUTS", 64)
    x, weight = products.data(64, 64, 64)
    run = products.twenty_lines(x, weight, 0.01, True)
    torch.manual_seed(0)
    products.agree_in_noise(run, x, weight, 0.01, "right")
    with pytest.raises(DisagreementError, match="wrong: read noise of"):
        products.agree_in_noise(run, x, weight, 0.011, "wrong")


def test_our_product_and_the_twenty_lines_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "INPUTS", 128)
    monkeypatch.setattr(products, "ROWS", 64)
    x, weight = products.data(8, 128, 32)
    levels = np.rint(weight * products.STEPS) / products.STEPS
    twenty = products.twenty_lines(x, levels.astype(np.float32), 0.0, False)()
    ours = products.mapped(weight, products.hardware()).read(torch.from_numpy(x))
    assert relative_error(ours, twenty.double().numpy()) < 1e-6


def test_growth_is_drawn() -> None:
    records = [
        growth.Grown(axis=axis, value=value, simulator=name, least_s=1e-3 * value)
        for axis, values in growth.AXES.items()
        for value in values
        for name in (growth.DIGITAL, growth.WHOLE, growth.NOISY, growth.VARIED)
    ]
    texts = {element.text for element in ElementTree.fromstring(growth.draw(records)).iter()}
    assert {"vectors", "tile rows", "torch float32", "read noise"} <= texts


def test_profile_groups() -> None:
    assert group("/x/crossbar_sim/reading/compiled/tiles.py:read_tiles") == "compiled reads"
    assert group("/x/crossbar_sim/mapping/encoding.py:retarget") == "around programming"
    assert group("/x/site-packages/torch/nn/linear.py:forward") == "torch"
    assert group("~:<built-in method numpy.empty>") == "numpy and Python"
