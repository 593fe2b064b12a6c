import json

import pandas as pd
import pytest

from tintype.config import ConfigError
from tintype.git import git
from tintype.report import best_row, read_metrics, write_table

SCORES = {
    "gray": {"psnr": 20.0, "ssim": 0.91, "ciede2000": 15.0, "colorfulness": 0.0},
    "gan_l1": {"psnr": 23.456, "ssim": 0.9, "ciede2000": 9.5, "colorfulness": 40.0},
}


def test_table_marks_the_best_of_what_has_a_direction(tmp_path):
    write_table(SCORES, tmp_path)
    assert (tmp_path / "table.md").read_text().splitlines() == [
        "| row | psnr ↑ | ssim ↑ | ciede2000 ↓ | colorfulness |",
        "|---|---|---|---|---|",
        "| `gray` | 20.00 | **0.910** | 15.00 | 0.0 |",
        "| `gan_l1` | **23.46** | 0.900 | **9.50** | 40.0 |",
    ]
    table = pd.read_csv(tmp_path / "table.csv")
    assert table.columns[0] == "row"
    assert table.set_index("row").loc["gan_l1", "psnr"] == 23.456


def test_best_row_follows_the_metric(tmp_path):
    for row, values in SCORES.items():
        (tmp_path / f"{row}.json").write_text(json.dumps(values))
    scores = read_metrics(tmp_path, list(SCORES))
    assert best_row(scores, "ciede2000") == "gan_l1"
    assert best_row(scores, "ssim") == "gray"


@pytest.mark.parametrize("metric", ["fid", "colorfulness"])
def test_a_metric_that_ranks_nothing_here_is_refused(metric):
    with pytest.raises(ConfigError, match=f"register.metric = '{metric}': not measured here; allowed: psnr, ssim"):
        best_row(SCORES, metric)


def test_readme_shows_the_table_that_the_run_made(pytestconfig):
    committed = git(pytestconfig.rootpath, "show", "HEAD:report/table.md")  # a rerun elsewhere may differ a little
    assert committed, "no committed report/table.md"
    assert committed in (pytestconfig.rootpath / "README.md").read_text()
