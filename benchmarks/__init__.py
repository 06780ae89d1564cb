"""What is measured for docs/benchmarks.md: ratios within one run, because the machines are noisy."""
