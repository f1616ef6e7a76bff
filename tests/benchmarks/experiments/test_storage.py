"""Stored records: damage is seen and computed again, seeds are distinct, places that cannot be written are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import Experiment
from benchmarks.cli.show import check_outputs, finite
from benchmarks.experiments.running import run_all
from benchmarks.experiments.storage import SeedFiles
from benchmarks.record import SeedRecord
from crossbar_sim import CrossbarError, SpecError
from crossbar_sim.runtime.files import check_folder, write_json


class Small(SeedRecord):
    """A record."""

    value: float
    """A number."""


DAMAGED = {
    "empty": "",
    "no object": "[]",
    "null": "null",
    "no keys": "{}",
    "missing key": '{"seed": 0}',
    "text for a number": '{"seed": 0, "value": "x"}',
    "foreign key": '{"seed": 0, "value": 1.0, "other": 2}',
    "not finite": '{"seed": 0, "value": NaN}',
    "infinite": '{"seed": 0, "value": 1e999}',
    "another seed": '{"seed": 7, "value": 1.0}',
    "truncated": '{"seed": 0, "val',
    "deep": 100_000 * "[",
    "not text": "\udcff\udcfe\udcff",
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_record_is_computed_again(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = SeedFiles(tmp_path, Small)
    files.path(0).write_bytes(DAMAGED[case].encode("utf-8", "surrogateescape"))
    assert files.record(0, lambda: Small(seed=0, value=2.0)).value == 2.0
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "damaged" in told and str(files.path(0)) in told
    assert files.record(0, lambda: Small(seed=0, value=3.0)).value == 2.0


def test_a_folder_in_place_of_a_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "seed_0.json").mkdir()
    with pytest.raises(CrossbarError, match="is a folder"):
        SeedFiles(tmp_path, Small).record(0, lambda: Small(seed=0, value=2.0))


@pytest.mark.parametrize("seeds", [(0, 0), (-1,), (2**63,), ()])
def test_seeds_are_distinct_and_not_negative(seeds: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match="seeds"):
        Experiment(method="bitfit", seeds=seeds)


def test_what_cannot_be_run_is_refused_before_the_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    one = Experiment(method="bitfit", seeds=(0,))
    with pytest.raises(CrossbarError, match="at least 1"):
        run_all([one], workers=0, runs=tmp_path)
    for runs in (file, file / "below", Path("/proc/nowhere")):
        with pytest.raises(CrossbarError, match="cannot be written"):
            run_all([one], runs=str(runs))
    with pytest.raises(CrossbarError, match="is a folder"):
        check_outputs(None, Path("-"), tmp_path)
    with pytest.raises(CrossbarError, match="cannot be written"):
        check_folder(file)


def test_json_is_always_valid(tmp_path: Path) -> None:
    assert json.loads(json.dumps(finite({"a": [float("nan"), 1.0, float("inf")]}), allow_nan=False)) == {
        "a": [None, 1.0, None]
    }
    with pytest.raises(CrossbarError, match="no NaN"):
        write_json(tmp_path / "x.json", [float("nan")])
    assert not list(tmp_path.iterdir())
