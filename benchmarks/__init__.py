"""Benchmarks of skae: ``python -m benchmarks [SUITE]``."""
