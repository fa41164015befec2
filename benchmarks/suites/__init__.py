"""Suites: a module each, which knows no other. What two need is in ``shared``."""
