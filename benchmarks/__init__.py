"""Measurements, each runnable alone: ``python -m benchmarks NAME``; results in ``benchmarks/results/``."""
