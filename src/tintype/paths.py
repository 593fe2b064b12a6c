"""Paths of what a project's stages make, each defined once, as in dvc.yaml and relative to the project's root."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
"""Where the package is installed from, if that is a checkout."""

PARAMS = "params.yaml"
PIPELINE = "dvc.yaml"
LOCK = "dvc.lock"
GATE = "gate.yaml"

CODE = "data/code"
LAB_CACHE = "data/lab"
FEATURES = "data/features"
METRICS = "metrics"
CURVES = "curves"
TABLE_MD = "report/table.md"
TABLE_CSV = "report/table.csv"
REGISTERED = "report/registered.json"
SEED_METRICS = "report/spread.csv"
"""The metrics of every row and seed that the tolerances were measured from. No stage writes it."""


def config_of(row: str) -> str:
    """Return the path of a row's resolved params."""
    return f"configs/{row}.json"


def model_of(row: str) -> str:
    """Return the folder of a row's generator."""
    return f"models/{row}"


def metrics_of(row: str) -> str:
    """Return the path of the metrics of a row or a baseline."""
    return f"{METRICS}/{row}.json"


def curves_of(row: str) -> str:
    """Return the path of a row's curves by epoch."""
    return f"{CURVES}/{row}.csv"
