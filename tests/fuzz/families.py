"""What is tried."""

from __future__ import annotations

from tests.fuzz.adapters import adapters
from tests.fuzz.files import files
from tests.fuzz.run import Family
from tests.fuzz.specs import specs
from tests.fuzz.tensors import tensors

FAMILIES: dict[str, Family] = {"specs": specs, "files": files, "tensors": tensors, "adapters": adapters}
