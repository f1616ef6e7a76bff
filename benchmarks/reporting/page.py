"""Pages: HTML from the templates of this room, escaped, with nothing left undefined."""

from __future__ import annotations

from typing import Any

import jinja2


def page(template: str, **values: Any) -> str:
    """The page that a template makes of these values."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("benchmarks.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
