"""Objectives: ``mean_i loss(x_i, decode(encode(corrupt(x_i)))) + alpha * penalty``."""
