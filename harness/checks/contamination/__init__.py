"""Looks for benchmarks' questions in training files, and splits a run's scores by what was found."""
