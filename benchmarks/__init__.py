"""Benchmarks of skae: ``python -m benchmarks [NAME ...]``.

A module of ``suites`` is a suite, and ends with ``SUITE``, which ``__main__`` lists.
The suite ``speed`` has many parts, and a room of its own. Both build on ``shared``,
which knows neither.
"""
