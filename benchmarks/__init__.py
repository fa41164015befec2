"""Benchmarks of skae: ``python -m benchmarks [NAME ...]``.

A module of ``suites`` is a suite, and ends with ``SUITE``, which ``__main__`` lists.
The suite ``speed`` has many parts, and a room of its own; so has ``rivals``, which
trains in other environments what ``speed`` trains here, and ``embedding``, which makes
maps there. All build on ``shared``, which knows none of them.
"""
