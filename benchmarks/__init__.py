"""Benchmarks of skae: ``python -m benchmarks [NAME ...]``.

A module is a suite, and ends with ``SUITE``, which ``__main__`` lists.
"""
