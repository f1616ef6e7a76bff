"""python -m tests.kills: a comparison or an exploration is killed often; exit status 1 if anything is lost or left."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.kills.run import FILES, JOBS, Kills


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    options.add_argument("--what", choices=tuple(JOBS), default="compare", help="is killed")
    options.add_argument("--kills", type=int, default=50, help="at random moments")
    options.add_argument("--files", type=int, default=FILES, help="at so many of the files that are written")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        kills = Kills(Path(name), given.what)
        for number in range(1, given.files + 1):
            for after in (False, True):
                kills.at_file(number, after)
        print(kills, flush=True)
        kills.at_random(given.kills, given.seed)
    print(kills)
    return int(bool(kills.faults))


if __name__ == "__main__":
    sys.exit(main())
