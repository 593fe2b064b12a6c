"""Users, passwords and tokens in addresses reach no message."""

import os
import subprocess
import sys

import pytest
from conftest import CHECKOUT

from tintype.errors import UserError, redacted

PHOTO = "src/tintype/serving/examples/portrait.jpg"
ADDRESSES = {
    "http://anne:s3cret@127.0.0.1:9": "http://127.0.0.1:9",
    "https://s3cret@example.org/a/b": "https://example.org/a/b",
    "postgresql+psycopg2://anne:s3cret%2F@db:5432/mlflow": "postgresql+psycopg2://db:5432/mlflow",
    "https://example.org/photos.zip?X-Amz-Signature=s3cret&user=s3cret": "https://example.org/photos.zip?&",
    "s3://bucket/folder": "s3://bucket/folder",
    "sqlite:////home/a@b/mlflow.db": "sqlite:////home/a@b/mlflow.db",
}


@pytest.mark.parametrize(("address", "shown"), ADDRESSES.items(), ids=ADDRESSES.values())
def test_credentials_are_left_out(address, shown):
    assert (
        redacted(f"'{address}': no answer; write to me@example.org") == f"'{shown}': no answer; write to me@example.org"
    )
    assert "s3cret" not in str(UserError(f"{address}\n{address}"))


@pytest.mark.parametrize("error", ["ValueError", "UserError", "OSError", "FloatingPointError"])
def test_errors_of_a_stage(error):
    """Also in the traceback of a fault that nobody expected, and in its source lines."""
    code = f"""
import sys
sys.path.insert(0, {str(CHECKOUT / "stages")!r})
from _stage import *
def stage():
    raise {error}("no answer of http://anne:s3cret@127.0.0.1")
run(stage)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode != 0
    assert "no answer of http://127.0.0.1" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("words", [["colorize", PHOTO, "--model", "models:/m@champion"], ["sync"], ["verify"]])
def test_commands_with_a_dead_store(words):
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "http://anne:s3cret@127.0.0.1:9"}
    code = "from tintype.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert "127.0.0.1" in done.stdout + done.stderr
    assert "s3cret" not in done.stdout + done.stderr
