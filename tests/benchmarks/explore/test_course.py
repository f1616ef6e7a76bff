"""An exploration is the same whoever runs it: on one worker or more, in any order, killed and resumed, extended."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.explore.course import explore
from benchmarks.explore.engines import LOST, Engine, Local
from benchmarks.explore.exploration import Exploration
from benchmarks.explore.findings import Findings
from benchmarks.explore.looking import as_far_as_known, dry, status
from benchmarks.explore.saving import evaluations, export_journal, save_design
from crossbar_sim import CrossbarError, Hardware, SpecError
from tests.benchmarks.explore.small import BITS, ERROR, TILE, content, exploration, of_chips


class Shuffled(Engine):
    """Finishes tasks in a random order, and stops for good after `most` of them."""

    def __init__(self, seed: int, most: int | None = None) -> None:
        self.random, self.left = random.Random(seed), most

    workers = 1

    def run(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        places = list(range(len(tasks)))
        self.random.shuffle(places)
        for place in places:
            if self.left is not None:
                if not self.left:
                    raise KeyboardInterrupt
                self.left -= 1
            yield place, function(*tasks[place])


def numbers(findings: Findings) -> Any:
    """The record without times."""
    record = findings.record().as_json()
    del record["hypervolume_processor_s"]
    for part in (*record["designs"], *record["rungs"]):
        del part["processor_s"]
    return record


def run(one: Exploration, runs: Path, engine: Engine | None = None) -> Findings:
    return explore(one, engine=engine or Local(1), runs=runs, progress=False)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Path]:
    runs = tmp_path_factory.mktemp("explored")
    return run(exploration(), runs), runs


def test_every_design_ends_somewhere(ended: tuple[Findings, Path]) -> None:
    record = ended[0].record()
    assert [one.id for one in record.designs] == list(range(12))
    assert {one.state for one in record.designs} <= {"dropped", "evaluated"}
    assert record.sampler == "grid"
    assert record.front
    for one in record.designs:
        assert set(one.objectives) == {"accuracy_mean", "total_energy_J"}
        assert one.objectives["total_energy_J"].se == 0
        assert (one.front_probability is not None) is (one.state == "evaluated")
    assert record.hypervolume[-1] > 0
    assert list(record.hypervolume) == sorted(record.hypervolume)


def test_the_last_rung_judges_test_samples_and_the_first_does_not(ended: tuple[Findings, Path]) -> None:
    for one in ended[0].designs:
        assert all(record.run.accuracy is None for records in one.seeds[0].values() for record in records if record.run)
        if 1 in one.seeds:
            assert all(
                record.run.accuracy is not None for records in one.seeds[1].values() for record in records if record.run
            )


def test_no_design_is_dropped_that_nothing_beats_on_the_first_rung(ended: tuple[Findings, Path]) -> None:
    found = ended[0]
    for one in found.designs:
        if one.state == "dropped":
            cost, score = one.count_of("total_energy_J"), one.samples("accuracy_mean", 0, False)[0]
            assert any(
                other.count_of("total_energy_J") <= cost and other.samples("accuracy_mean", 0, False)[0] > score
                for other in found.designs
            )


@pytest.mark.parametrize("engine", [Shuffled(1), Shuffled(2)], ids=["one order", "another"])
def test_the_order_of_completion_changes_nothing(ended: tuple[Findings, Path], engine: Engine, tmp_path: Path) -> None:
    assert numbers(run(exploration(), tmp_path, engine)) == numbers(ended[0])
    assert content(tmp_path) == content(ended[1])


@pytest.mark.usefixtures("forked_workers")
def test_two_workers_find_the_same(ended: tuple[Findings, Path], tmp_path: Path) -> None:
    assert numbers(run(exploration(), tmp_path, Local(2))) == numbers(ended[0])


@pytest.mark.parametrize("sampler", ["nsga2", "tpe", "gp"])
def test_a_search_that_learns_is_the_same_in_any_order_and_after_any_stop(sampler: str, tmp_path: Path) -> None:
    designs = 16 if sampler == "gp" else 48
    one = of_chips(search={"designs": designs, "batch": 8, "sampler": sampler})
    whole = run(one, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    for seed, most in enumerate((0, 3, 9, 11)):
        try:
            run(one, stopped, Shuffled(seed, most))
        except CrossbarError as error:
            assert "interrupted" in str(error)
        except KeyboardInterrupt:
            pass
    assert numbers(run(one, stopped, Shuffled(9))) == numbers(whole)
    assert content(stopped) == content(tmp_path / "whole")


CHOOSING = {"designs": 12, "simulations": 7, "batch": 2}


def test_designs_that_are_chosen_are_the_same_in_any_order_and_after_any_stop(tmp_path: Path) -> None:
    one = exploration(search=CHOOSING, rungs=({},), pilot=0)
    whole = run(one, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    for seed, most in enumerate((12, 3, 4)):
        with pytest.raises((CrossbarError, KeyboardInterrupt)):
            run(one, stopped, Shuffled(seed, most))
        assert status(one, stopped).states.get("waiting", 0) > 0
    assert numbers(run(one, stopped, Shuffled(9))) == numbers(whole)
    assert content(stopped) == content(tmp_path / "whole")


def test_so_many_are_simulated_as_were_asked_for_and_more_go_on_from_there(tmp_path: Path) -> None:
    few, more = (
        run(exploration(search={**CHOOSING, "simulations": n}, rungs=({},), pilot=0), tmp_path) for n in (5, 9)
    )
    for found, count in ((few, 5), (more, 9)):
        states = [one.state for one in found.designs]
        assert (states.count("evaluated"), states.count("counted")) == (count, 12 - count)
        assert [one.number for one in found.in_turn[-count:]] == list(found.chosen)
    assert more.chosen[:5] == few.chosen
    assert more.record().hypervolume[-1] == max(more.record().hypervolume)


def test_a_sampler_that_learns_leaves_no_choice() -> None:
    with pytest.raises(SpecError, match="tpe decides itself what is simulated; leave out simulations"):
        exploration(search={**CHOOSING, "sampler": "tpe"})
    assert exploration(search={**CHOOSING, "designs": 11}).sampler == "sobol"


def test_what_is_on_disk_is_not_made_again(ended: tuple[Findings, Path]) -> None:
    assert numbers(run(exploration(), ended[1], Shuffled(0, most=0))) == numbers(ended[0])


def test_an_exploration_that_is_extended_keeps_its_designs(tmp_path: Path) -> None:
    short, long = (of_chips(search={"designs": n, "batch": 8, "sampler": "nsga2"}) for n in (20, 44))
    first = run(short, tmp_path)
    then = run(long, tmp_path)
    assert [one.point for one in then.designs][:20] == [one.point for one in first.designs]
    assert numbers(then) == numbers(run(long, tmp_path / "at once"))


def test_explorations_share_what_they_simulate(ended: tuple[Findings, Path]) -> None:
    other = exploration(name="other", vary={"adc.bits": [4, 5], **TILE}, search={"designs": 6, "sampler": "random"})
    again = exploration(vary=TILE | {"adc.bits": [4, 5]})
    assert run(again, ended[1], Shuffled(0, most=12)).designs
    assert other.folder(ended[1]) != again.folder(ended[1])


def test_a_search_that_learns_proposes_better_designs_than_chance(tmp_path: Path) -> None:
    """The median of the last 32 of 64 proposals, in joule per operation: below that of chance for every seed."""

    def late(sampler: str, seed: int) -> float:
        one = of_chips(
            objectives={"array_operations_per_J": "max"},
            search={"designs": 64, "batch": 16, "sampler": sampler, "seed": seed},
        )
        return statistics.median(
            design.count_of("array_operations_per_J") or 0 for design in run(one, tmp_path).designs[32:]
        )

    for seed in range(3):
        assert late("nsga2", seed) > late("random", seed)


def test_constraints_that_counting_knows_are_checked_before_anything_is_simulated(tmp_path: Path) -> None:
    one = exploration(vary=TILE, constraints={"tiles": {"at_most": 60}})
    states = {design.point["tile.rows"]: design for design in run(one, tmp_path).designs}
    assert states[4].state == "infeasible"
    assert states[4].seeds == {}
    assert "tiles is" in (states[4].reason or "")
    assert states[16].state != "infeasible"


def test_a_score_below_its_bound_is_infeasible_at_the_end(tmp_path: Path) -> None:
    one = exploration(vary={"tile.rows": [8]}, constraints={"accuracy_mean": {"at_least": 1.1}})
    (design,) = run(one, tmp_path).designs
    assert design.state == "infeasible"
    assert run(one, tmp_path).front == ()


def test_refused_designs_are_recorded_with_their_sentence(tmp_path: Path) -> None:
    one = exploration(vary={"tile.rows": [8, 0], **BITS}, search={"designs": 8})
    found = run(one, tmp_path)
    refused = [design for design in found.designs if design.state == "refused"]
    assert len(refused) == 4
    assert all("rows" in (design.reason or "") for design in refused)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vary": {"tile.rows": [0]}}, "every design is refused or infeasible, the first because"),
        ({"objectives": {"area_m2": "min"}}, "states nothing that area_m2 could be counted from"),
        ({"constraints": {"tiles": {"at_most": 0}}}, "tiles is .* wanted at most 0"),
    ],
)
def test_an_exploration_without_any_design_says_why(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words):
        run(exploration(**changes), tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objectives": {"acuracy_mean": "max"}}, "did you mean 'accuracy_mean'"),
        ({"objectives": {"accuracy_mean": "more"}}, "objectives"),
        ({"constraints": {"tiles": {}}}, "at_most, at_least or both"),
        ({"rungs": ({"steps": 1},)}, "the last one simulates all steps"),
        ({"pilot": 0}, "every rung but the last needs a tolerance"),
        ({"tasks": ("smallest",)}, "no task 'smallest'"),
        ({"search": {"sampler": "anneal"}}, "sampler"),
    ],
)
def test_an_exploration_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        exploration(**changes)


def test_more_seeds_go_to_designs_whose_place_is_unsure(tmp_path: Path) -> None:
    one = exploration(vary=TILE | ERROR, more_seeds=8, search={"designs": 8, "sampler": "sobol"})
    found = run(one, tmp_path)
    seeds = [len(design.seeds[1]) for design in found.evaluated]
    assert sum(seeds) > 2 * len(seeds)
    assert sum(seeds) - 2 * len(seeds) <= 8


def test_status_and_show_work_at_any_time_and_make_nothing(ended: tuple[Findings, Path], tmp_path: Path) -> None:
    one = exploration()
    with pytest.raises(SpecError, match="nothing of it is in"):
        as_far_as_known(one, tmp_path)
    with pytest.raises((CrossbarError, KeyboardInterrupt)):
        run(one, tmp_path, Shuffled(0, most=15))
    before = content(tmp_path)
    found = status(one, tmp_path)
    assert found.proposed == 12
    assert found.states == {"waiting": 12}
    assert found.rungs[0] == 3  # of twelve, after twelve bills
    assert content(tmp_path) == before
    assert numbers(as_far_as_known(one, ended[1])) == numbers(ended[0])


def test_a_dry_run_keeps_nothing(tmp_path: Path) -> None:
    plan = dry(exploration(), tmp_path)
    assert (plan.space, plan.designs, len(plan.run_s)) == (12, 12, 2)
    assert 0 < plan.least_hours <= plan.most_hours
    assert not list(tmp_path.iterdir())


def test_a_plan_simulates_no_more_than_is_asked_for(tmp_path: Path) -> None:
    every, some = (dry(exploration(search=search, rungs=({},), pilot=0), tmp_path) for search in ({}, CHOOSING))
    assert (every.simulations, some.simulations) == (12, 7)
    assert "12 proposed by grid, 7 of them simulated" in str(some) and "simulated" not in str(every)
    seconds = (some.most_hours * 3600 - 12 * some.counting_s) / 7
    assert seconds == pytest.approx(2 * some.run_s[0])


def test_a_saved_design_is_a_hardware_file_that_says_what_was_changed(
    ended: tuple[Findings, Path], tmp_path: Path
) -> None:
    path = save_design(exploration(), 5, tmp_path / "chip.toml", runs=ended[1])
    hardware = Hardware.load(path)
    assert hardware.tile.rows == ended[0].designs[5].point["tile.rows"]
    assert hardware.name == "small-5"
    assert any("changed from" in row["where"] for row in hardware.provenance())
    with pytest.raises(SpecError, match="there are 0 to 11"):
        save_design(exploration(), 12, path, runs=ended[1])


def test_a_journal_for_optuna_has_every_design(ended: tuple[Findings, Path], tmp_path: Path) -> None:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    path = export_journal(exploration(), tmp_path / "journal.log", runs=ended[1])
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="small", storage=storage)
    assert len(study.trials) == 12
    assert [trial.number for trial in study.best_trials] == sorted(ended[0].record().front)


def test_every_evaluation_is_a_row(ended: tuple[Findings, Path]) -> None:
    rows = list(evaluations(ended[0]))
    runs = sum(
        len(records) for one in ended[0].designs for of_seed in one.seeds.values() for records in of_seed.values()
    )
    assert len(rows) == runs
    assert all(row["tile.rows"] == row["tile.columns"] for row in rows)


def test_records_are_small(ended: tuple[Findings, Path]) -> None:
    assert max(path.stat().st_size for path in ended[1].rglob("seed_*.json")) < 10_000


def test_a_design_whose_worker_dies_is_failed_and_the_others_go_on(tmp_path: Path) -> None:
    class Deadly(Shuffled):
        def run(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
            for place, found in super().run(function, tasks):
                yield place, None if place == 1 else found

    found = run(of_chips(search={"designs": 8, "batch": 8, "sampler": "random"}), tmp_path, Deadly(0))
    assert [one.number for one in found.designs if one.state == "failed"] == [1]
    assert found.designs[1].reason == LOST
