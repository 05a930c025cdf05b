"""Both systems simulated: for the sandbox, the demo, the tests and the benchmarks. Imports nothing of the sync."""
