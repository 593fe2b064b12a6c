"""A damaged or missing file of an earlier stage is one line of the next stage, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import CHECKOUT, TINY

from tintype.config import merged
from tintype.files import write_sums


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The beginning of a project: its params, and empty folders with their hashes."""
    params = merged(yaml.safe_load((CHECKOUT / "params.yaml").read_text()), {k: TINY[k] for k in TINY if k != "rows"})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "rows": TINY["rows"]}))
    for folder in ("raw", "curated", "features", "configs", "metrics", "curves"):
        (tmp_path / folder).mkdir()
    (tmp_path / "curated/summary.json").write_text('{"classes": ["a", "b"]}')
    (tmp_path / "features/perceptual.json").write_text('{"network": "none"}')
    for folder in ("curated", "features"):
        write_sums(tmp_path / folder)
    return tmp_path


def run(project: Path, stage: str, *words: str) -> str:
    """The only line that a stage prints when it is refused."""
    command = [sys.executable, str(CHECKOUT / f"stages/{stage}.py"), *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, env={**os.environ})
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_filter_without_its_labels(project):
    line = run(project, "filter", "params.yaml", "raw", "curated")
    assert line.startswith("error: raw/labels.csv: no such file; delete raw and run `dvc checkout`, ")
    assert line.endswith("`dvc repro -s -f download`")


def test_configure_with_a_damaged_summary(project):
    (project / "curated/summary.json").write_text('{"classes": ["a", "b"')
    line = run(project, "configure", "params.yaml", "curated", "features", "configs")
    assert line.startswith("error: curated/summary.json: damaged, ")
    assert line.endswith("`dvc repro -s -f filter`")


def test_report_with_damaged_metrics_and_curves(project):
    for name in ("gray", "mean_ab", "gan_l1", "wgan_gp_l2_class"):
        (project / f"metrics/{name}.json").write_text('{"psnr": 20.0}')
    (project / "curves/gan_l1.csv").write_bytes(b"\xff\x00")
    line = run(project, "report", "params.yaml", "metrics", "curves", "report")
    assert line == "error: curves/gan_l1.csv: damaged, no curves by epoch; `dvc repro -s -f train@gan_l1` makes it"
    (project / "metrics/gray.json").write_text('{"psnr": 20.0')
    line = run(project, "report", "params.yaml", "metrics", "curves", "report")
    assert line.startswith("error: metrics/gray.json: damaged, ")
    assert line.endswith("`dvc repro -s -f baselines` makes it")
