import json

import pandas as pd
import pytest

from tintype.config import PublishedRow
from tintype.errors import UserError
from tintype.git import git
from tintype.report import best_row, read_metrics, write_report, write_table

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


@pytest.fixture
def write(tmp_path):
    """Writes the report of three rows that were measured and trained; returns the table's lines."""
    metrics, curves, out = (tmp_path / name for name in ("metrics", "curves", "report"))
    metrics.mkdir()
    curves.mkdir()
    measured = {"rmse": 0.1, "psnr": 20.0, "psnr_lab_planes": 25.5, "fid_lite2": 2.0, "ciede2000": 9.0}
    for row in ("gray", "mean_ab", "gan", "nogan", "plain"):
        (metrics / f"{row}.json").write_text(json.dumps(measured))
    (curves / "plain.csv").write_text("epoch,phase,val_ciede2000\n1,generator,9\n2,generator,8\n")
    (curves / "gan.csv").write_text(
        "epoch,discriminator_real_success,discriminator_fake_success,val_ciede2000\n1,0.5,0.25,9\n"
    )
    (curves / "nogan.csv").write_text(
        "epoch,phase,discriminator_real_success,discriminator_fake_success,val_ciede2000\n"
        "1,generator,,,9\n2,discriminator,0.9,0.8,9\n3,adversarial,0.756,0.6,8\n"
    )

    def call(published):
        write_report(["gan", "nogan", "plain"], metrics, curves, out, published)
        return (out / "table.md").read_text().splitlines()

    return call


def test_without_published_figures_there_is_one_table(write):
    lines = write({})
    assert len(lines) == 2 + 5
    assert all(line.startswith("|") for line in lines)


def test_ours_beside_theirs_names_space_network_and_epochs(write):
    metrics = {"psnr": 26.36, "psnr_lab_planes": 25.0, "fid": 1.506}
    lines = write({"gan": PublishedRow(metrics=metrics, note="drawn"), "nogan": PublishedRow(note="failed")})
    start = lines.index("## Beside the published metrics")
    assert lines[start + 4 : start + 10] == [
        "| row | metric | ours | published | difference | space | feature network | epochs trained | note |",
        "|---|---|---|---|---|---|---|---|---|",
        "| `gan` | psnr ↑ | 20.00 | 26.36 | -6.36 | RGB |  | 1 | drawn |",
        "| `gan` | psnr_lab_planes ↑ | 25.50 | 25 | +0.50 | L, a, b as if RGB |  | 1 |  |",
        # fid_lite2 is of another network: it is not compared
        "| `gan` | fid ↓ | not measured | 1.506 |  | RGB | pytorch-fid's Inception | 1 |  |",
        "| `nogan` |  |  |  |  |  |  | 3 | failed |",
    ]


def test_the_discriminators_success_is_the_last_epochs_that_had_one(write):
    lines = write({"gan": PublishedRow(metrics={"psnr": 26.36})})
    assert lines[lines.index("| row | real | fake |") + 2 :] == ["| `gan` | 0.50 | 0.25 |", "| `nogan` | 0.76 | 0.60 |"]


def test_best_row_follows_the_metric(tmp_path):
    for row, values in SCORES.items():
        (tmp_path / f"{row}.json").write_text(json.dumps(values))
    scores = read_metrics(tmp_path, list(SCORES))
    assert best_row(scores, "ciede2000") == "gan_l1"
    assert best_row(scores, "ssim") == "gray"


@pytest.mark.parametrize("metric", ["fid", "colorfulness"])
def test_a_metric_that_ranks_nothing_here_is_refused(metric):
    with pytest.raises(UserError, match=f"register.metric = '{metric}': not measured here; allowed: psnr, ssim"):
        best_row(SCORES, metric)


def test_readme_shows_the_table_that_the_run_made(pytestconfig):
    committed = git(pytestconfig.rootpath, "show", "HEAD:report/table.md")  # a rerun elsewhere may differ a little
    assert committed, "no committed report/table.md"
    assert committed in (pytestconfig.rootpath / "README.md").read_text()
