"""Files appear whole or not at all (see crossbar_sim.files)."""

from crossbar_sim.files import write_bytes, write_json, write_text

__all__ = ["write_bytes", "write_json", "write_text"]
