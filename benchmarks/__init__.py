"""Benchmarks: ours against others, measured in one run. See README.md in this folder."""
