"""Report: the table's numbers are the records', the page stands alone, and bad input is one clear sentence."""

from __future__ import annotations

import html
import json
import re
import statistics
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks.experiments.experiment import Experiment, Result
from benchmarks.experiments.record import RunRecord
from benchmarks.reporting.report import Report
from benchmarks.reporting.summary import ReportError, Spread
from crossbar_sim import CrossbarError
from crossbar_sim.spec.units import engineering
from tests.benchmarks.reporting.results import CHIP, METHODS, make_comparison, make_result

TASKS = ("fliplr+dim", "rot90+invert", "occlude", "shuffle_patches")
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report() -> Report:
    return Report(make_comparison(TASKS, seeds=(0, 1, 2, 3, 4)))


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return report.html()


def test_rows_are_the_records(report: Report) -> None:
    assert [row["method"] for row in report.rows()] == list(METHODS)
    for row in report.rows():
        results = [result for result in report.results if result.display_name == row["method"]]
        records = [record for result in results for record in result.seeds]
        for kind in ("related", "unrelated"):
            chosen = [result for result in results if result.task_kind == kind]
            per_seed = [
                statistics.fmean(accuracies) for accuracies in zip(*(r.accuracies for r in chosen), strict=True)
            ]
            expected = f"{statistics.fmean(per_seed):.3f} ± {statistics.stdev(per_seed):.3f}"
            assert row[f"accuracy ({kind})"] == expected
        flat = [result.record() for result in results]
        assert row["trained values"] == f"{flat[0].trained_values:,}"
        assert row["total energy"] == engineering(statistics.fmean(r.total_energy_J for r in flat), "J")
        energy = statistics.fmean(r.reprogramming_energy_J for r in flat)
        assert row["reprogramming energy"] == engineering(energy, "J")
        cells = f"{statistics.fmean(r.adapt_cells_written for r in flat):,.0f}"
        pool = flat[0].pool_cells_written
        assert row["cells written"] == (f"{cells} (+{pool:,} pool)" if pool else cells)
        assert row["worst cell's writes"] == str(max(r.max_task_writes_per_cell for r in records))
        limit = min((r.adaptations_until_wearout for r in flat if r.adaptations_until_wearout), default=None)
        assert row["adaptations until wear-out"] == ("no writes" if limit is None else f"{limit:,}")
    assert report.rows()[3]["cells written"] == "0 (+172,032 pool)"


def test_table_is_aligned_and_narrow(report: Report) -> None:
    lines = report.table().splitlines()
    assert max(map(len, lines)) <= 120
    rule = next(line for line in lines if set(line) == {"-", " "})
    body = lines[lines.index(rule) + 1 :][: len(METHODS)]
    assert {len(line) for line in body} == {len(rule)}
    for line, row in zip(body, report.rows(), strict=True):
        assert re.split(r"\s{2,}", line) == list(row.values())
    assert str(report) == report.table()
    assert "5 seeds" in report.table() and "4 tasks" in report.table()


def test_records_are_the_results(report: Report) -> None:
    assert report.records() == [result.record() for result in report.results]
    json.dumps([record.as_json() for record in report.records()], allow_nan=False)


def test_page_stands_alone(report: Report, page: str) -> None:
    assert len(report.results) == 20 and len(page.encode()) < 1_000_000
    tags = Page(page).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            assert re.match(r"#|data:", attributes.get(name) or "#"), attributes
    assert "@import" not in page and not re.search(r"url\((?!#)", page)


def test_page_says_what_the_table_says(report: Report, page: str) -> None:
    text = Page(page).text
    for row in report.rows():
        assert all(cell in text for cell in row.values())
    assert "nan" not in re.findall(r"[a-z]+", text.lower())
    for task in TASKS:
        assert task in text
    for phase in ("deploy", "pool", "adapt", "infer"):
        assert f"{phase}" in text
    for gap in ("normalisation", "softmax", "GELU", "activations", "Leakage", "IR drop"):
        assert gap in text.split("Not counted")[1].split("Hardware and the sources")[0]
    assert text.count("Each panel has its own scale") == 1


def test_page_has_datasheet_provenance_and_references(page: str) -> None:
    text, rows = Page(page).text, CHIP.provenance()
    assert str(CHIP) in text
    assumed = [row for row in rows if row["kind"] == "assumed"]
    assert f"{len(assumed)} of {len(rows)} constants are assumed" in text
    assert page.count('class="assumed"') == len(assumed)
    for row in rows:
        assert f"{row['part']}.{row['name']}" in text and row["where"] in text and row["source"] in text
    by_remark = ("10.1126/science.adf5538", "10.1016/j.vlsi.2017.02.002")  # Wen 2024, Stillmaker and Baas 2017
    for doi in ("10.1145/3716368.3735213", "10.1109/ISCA.2016.12", *by_remark):
        assert doi in text
    assert "@inproceedings{shafiee2016," in text


def test_page_can_be_repeated(report: Report, page: str) -> None:
    blocks = [html.unescape(block) for block in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)]
    document = json.loads(next(block for block in blocks if block.startswith("{")))
    again = [
        Experiment(**{**experiment, "hardware": document["hardware"][experiment["hardware"]]})
        for experiment in document["experiments"]
    ]
    expected = [result.experiment.digest() for result in report.results]
    assert [experiment.digest() for experiment in again] == expected
    assert all(digest in page for digest in expected)
    compile(next(block for block in blocks if block.startswith("import json")), "the page", "exec")


def test_page_is_the_same_every_time(report: Report, page: str) -> None:
    assert report.html() == page


def test_save_writes_the_page(tmp_path: Path) -> None:
    report = Report([make_result("linear probe")])
    path = report.save(str(tmp_path / "new folder" / "report.html"))
    assert path == tmp_path / "new folder" / "report.html"
    assert path.read_text(encoding="utf-8") == report.html()
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_hostile_names_stay_text() -> None:
    name = "</title><script>alert(1)</script> $x^{ |"
    report = Report([make_result("full fine-tuning", display_name=name)])
    page = report.html()
    assert "<script" not in page and "alert(1)" in page
    assert name in Page(page).text


def test_empty_is_refused() -> None:
    with pytest.raises(ReportError, match="no results to report; run at least one experiment") as caught:
        Report([])
    assert isinstance(caught.value, CrossbarError) and isinstance(caught.value, ValueError)


def test_a_result_twice_is_refused() -> None:
    with pytest.raises(ReportError, match=r"LoRA \(tiles\) on occlude is given twice"):
        Report([make_result("LoRA (tiles)", "occlude"), make_result("LoRA (tiles)", "occlude")])


def test_different_seeds_per_task_are_refused() -> None:
    with pytest.raises(ReportError, match=r"seeds \[0, 1\] on occlude"):
        Report([make_result("LoRA (tiles)", "occlude"), make_result("LoRA (tiles)", seeds=(0, 2))])


def test_nan_is_refused() -> None:
    content = make_result("linear probe").seeds[1].as_json() | {"accuracy": float("nan")}
    with pytest.raises(CrossbarError, match="accuracy: Input should be a finite number"):
        RunRecord(**content)


def test_only_the_kinds_that_were_run_have_columns() -> None:
    report = Report([make_result("linear probe", "occlude")])
    assert "accuracy (unrelated)" in report.rows()[0] and "accuracy (related)" not in report.rows()[0]


def test_one_seed_has_no_spread() -> None:
    (row,) = Report([make_result("linear probe", seeds=(0,))]).rows()
    assert re.fullmatch(r"0\.\d{3}", row["accuracy (related)"])
    assert str(Spread(0.5, 0.25)) == "0.500 ± 0.250"


def test_unequal_tasks_are_said() -> None:
    report = Report([make_result("linear probe"), make_result("LoRA (SRAM)", "occlude")])
    assert "Not all methods were run on the same tasks" in report.table()
    assert report.rows()[0]["accuracy (unrelated)"] == "not run"


def test_two_hardware_get_a_column_and_a_datasheet_each() -> None:
    other = CHIP.without("read_noise")
    third = CHIP.replace(name="my chip")
    results = [make_result("LoRA (tiles)", hardware=chip) for chip in (CHIP, other, third)]
    report = Report(results)
    names = [row["hardware"] for row in report.rows()]
    assert len(set(names)) == 3 and names[2] == "my chip" and "read_noise" in names[1]
    page = report.html()
    assert all(html.escape(str(chip)) in page for chip in (CHIP, other, third))
    assert page.count("<h3>my chip</h3>") == 2


def test_settings_tell_equal_names_apart() -> None:
    four = make_result("LoRA (tiles)")
    eight = make_result("LoRA (tiles)", method={"name": "lora", "rank": 8})
    assert [row["method"] for row in Report([four, eight]).rows()] == ["LoRA (tiles) (rank 4)", "LoRA (tiles) (rank 8)"]


def test_result_of_another_version_is_reported_not_hidden(tmp_path: Path) -> None:
    content = make_result("linear probe").as_json()
    content["spec"]["backbone_version"] = 7
    (tmp_path / "result.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CrossbarError, match=r"result.json cannot be repeated with this version .*'backbone_version'"):
        Result.load(tmp_path / "result.json")


def test_source_unknown_to_the_bibliography_is_listed() -> None:
    notes = {**CHIP.device.provenance, "g_max": CHIP.device.provenance["g_max"].replace(source="my_lab_2026")}
    mine = CHIP.replace(device=CHIP.device.replace(provenance=notes))
    text = Page(Report([make_result("linear probe", hardware=mine)]).html()).text
    assert "my_lab_2026" in text and "references.bib does not know" in text


def test_result_without_curve_still_gets_a_page(tmp_path: Path) -> None:
    page = Report([make_result("linear probe", points=0)]).html()
    assert "Not drawn: no result has a learning curve" in page


def test_results_survive_their_file(report: Report, tmp_path: Path) -> None:
    again = []
    for result in report.results:
        (tmp_path / "result.json").write_text(json.dumps(result.as_json()), encoding="utf-8")
        again.append(Result.load(tmp_path / "result.json"))
    assert again == report.results
    assert Report(again).table() == report.table()
