"""Benchmarks: what the gateway costs, side by side with the bare app in one interleaved run. `make bench` prints the table."""
