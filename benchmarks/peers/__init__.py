"""The same work on other simulators and at the machine's limits: `python -m benchmarks.peers.mvm`."""
