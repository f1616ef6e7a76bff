"""How compiled code runs: compiling, threads, counter-based random numbers, files."""
