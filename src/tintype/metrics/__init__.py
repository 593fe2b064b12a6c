"""Metrics: their names are in `registry`, and `evaluation` computes them."""
