"""Comparing methods: the benchmark, the ablation, their statistics and reports, and the page of the metrics."""
