"""Comparing methods: the benchmark, the ablation, their statistics and reports."""
