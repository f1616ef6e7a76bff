"""The picture of the rooms shows the imports of the source, and all of them point down."""

from __future__ import annotations

from docs.draw_rooms import PICTURE, STOREYS, arrows, floors, house, picture, upward


def test_no_import_points_up_and_no_rooms_import_each_other() -> None:
    rooms = house()
    assert upward(rooms) == []
    level = floors(rooms)  # refuses a circle
    assert all(level[room] > level[target] for package in STOREYS for room, target in arrows(rooms, package))


def test_the_picture_is_what_the_source_says() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(house()), "draw it again: python -m docs.draw_rooms"
