"""Training: the engine, its solvers and schedule, validation, and when it stops."""
