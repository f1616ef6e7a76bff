"""The space: its size, its points, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.explore.asking import parse_vary
from benchmarks.explore.space import Choices, Space, Span, key_of, read_varied, table_of
from crossbar_sim import SpecError


def space(**varied: Any) -> Space:
    return Space({path: read_varied(one) for path, one in varied.items()})


def test_a_grid_has_every_point_once() -> None:
    found = space(a=[1, 2], b={"from": 3, "to": 5}, c="a")
    points = list(found.points())
    assert found.size == len(points) == 6
    assert points[0] == {"a": 1, "b": 3, "c": 1}
    assert len({key_of(point) for point in points}) == 6


def test_a_parameter_without_a_say_makes_no_further_designs() -> None:
    found = space(exact=[True, False], bits={"from": 4, "to": 8, "when": {"exact": False}})
    assert found.size == 6
    assert {"exact": True} in list(found.points())


def test_a_condition_may_name_several_values() -> None:
    found = space(kind=["a", "b", "c"], x={"values": [1, 2], "when": {"kind": ["a", "b"]}})
    assert found.size == 5


def test_a_range_of_real_numbers_has_no_size() -> None:
    assert space(a={"from": 0.5, "to": 2}).size is None
    assert space(a={"from": 1, "to": 4, "times": True}).size is None


@given(st.floats(0, 1, exclude_max=True))
def test_every_share_is_a_value_of_the_range(share: float) -> None:
    for one in (
        Span(low=3, high=8),
        Span(low=1, high=1000, log=True),
        Span(low=0.5, high=4.0, log=True),
        Choices.of(3, 4, 8),
    ):
        value = one.at(share)
        if isinstance(one, Choices):
            assert value in one.values
        else:
            assert isinstance(value, int | float)
            assert one.low <= value <= one.high
            assert isinstance(value, int) is one.whole


def test_equal_shares_meet_every_whole_number_equally_often() -> None:
    one = Span(low=3, high=8)
    found = [one.at((place + 0.5) / 60) for place in range(60)]
    assert [found.count(value) for value in range(3, 9)] == [10] * 6


@pytest.mark.parametrize(
    ("varied", "words"),
    [
        ({}, "nothing is varied"),
        ({"a": {"from": 3, "to": 3}}, "smaller number first"),
        ({"a": {"from": 0, "to": 3, "log": True}}, "starts above 0"),
        ({"a": [1, 1]}, "stands there twice"),
        ({"a": [1, 2], "b": "c"}, "tied to 'c', which is not varied"),
        ({"a": {"values": [1], "when": {"b": 1}}, "b": [1]}, "put 'b' first"),
        ({"a": {"step": 3}}, "`values`, or `from` and `to`"),
        ({"a": {"from": 1, "to": 2, "stp": 1}}, "unknown key 'stp'"),
        ({"a": {"paths": ["x", "y"], "values": [[1, 2], 3]}}, "no list of 2 values"),
        ({"a": 3}, "a list of values, a table or the path"),
    ],
)
def test_what_is_no_space_is_refused_with_a_sentence(varied: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        space(**varied)


@pytest.mark.parametrize(
    ("word", "table"),
    [
        ("tile.rows=64,128", {"values": [64, 128]}),
        ("adc.bits=4:8", {"from": 4, "to": 8}),
        ("method.learning_rate=1e-3:1e-1:log", {"from": 1e-3, "to": 1e-1, "log": True}),
        ("device.read_noise*=0.5:4", {"from": 0.5, "to": 4, "times": True}),
        ("adc.exact=true,false", {"values": [True, False]}),
        ("device=milo2021,wan2022", {"values": ["milo2021", "wan2022"]}),
    ],
)
def test_words_of_the_command_line_are_tables_of_a_file(word: str, table: dict[str, Any]) -> None:
    (found,) = parse_vary([word]).values()
    assert table_of(found) == table
    assert read_varied(table_of(found)) == found


def test_a_word_that_names_another_is_a_tie() -> None:
    assert parse_vary(["tile.rows=64,128", "tile.columns=tile.rows"])["tile.columns"] == "tile.rows"


@pytest.mark.parametrize("word", ["tile.rows", "tile.rows=", "=3", "a=1:2:3", "a=x:y"])
def test_a_word_that_says_nothing_is_refused(word: str) -> None:
    with pytest.raises(SpecError, match="--vary"):
        parse_vary([word])
