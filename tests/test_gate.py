"""The metric gate: its verdicts, its tolerances, and a project that passes and fails it."""

import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CHECKOUT, Project, write_tolerances
from scipy import stats

from tintype.config import BASELINE_NAMES, load_project
from tintype.errors import UserError
from tintype.metrics.registry import metric_of
from tintype.project.gate.compare import Verdict, compare
from tintype.project.gate.show import as_json, as_markdown, as_text
from tintype.project.gate.tolerances import DEVIATIONS, checked, tolerances
from tintype.project.pipeline import Pipeline

OF_ROW = {"psnr": 0.3, "ciede2000": 0.5, "colorfulness": 2.0, "fid_lite2": 0.2}
GATE = checked(
    {"too_good": 10.0, "measured": {"seeds": 10}, "tolerances": dict.fromkeys(("row", "kept", "a", "b"), OF_ROW)}
)


def verdict(metric, then, now, without_chance=()):
    (value,) = compare({"row": {metric: then}}, {"row": {metric: now}}, GATE, without_chance)
    return value.verdict


@pytest.mark.parametrize(
    ("metric", "then", "now", "expected"),
    [
        ("psnr", 20.0, 19.71, Verdict.SAME),
        ("psnr", 20.0, 19.69, Verdict.WORSE),
        ("psnr", 20.0, 20.31, Verdict.IMPROVED),
        ("psnr", 20.0, 23.01, Verdict.TOO_GOOD),
        ("ciede2000", 9.0, 9.49, Verdict.SAME),
        ("ciede2000", 9.0, 9.51, Verdict.WORSE),
        ("ciede2000", 9.0, 8.49, Verdict.IMPROVED),
        ("ciede2000", 9.0, 3.9, Verdict.TOO_GOOD),
        ("colorfulness", 50.0, 51.9, Verdict.SAME),
        ("colorfulness", 50.0, 52.1, Verdict.MOVED),
        ("colorfulness", 50.0, 47.9, Verdict.MOVED),
        ("fid_lite2", -2.0, -1.9, Verdict.SAME),
        ("ciede2000", 9.0, math.nan, Verdict.MISSING),
        ("ciede2000", 9.0, math.inf, Verdict.MISSING),
        ("ciede2000", math.nan, 9.0, Verdict.NEW),
    ],
)
def test_a_figure_is_judged_by_its_direction_and_tolerance(metric, then, now, expected):
    assert verdict(metric, then, now) is expected


@pytest.mark.parametrize(
    ("metric", "then", "now", "expected"),
    [
        ("psnr", 20.0, 20.009, Verdict.SAME),  # less than tables show
        ("psnr", 20.0, 19.98, Verdict.WORSE),
        ("psnr", 20.0, 20.02, Verdict.TOO_GOOD),
        ("colorfulness", 50.0, 50.2, Verdict.MOVED),
        ("fid_lite2", 30.0, 32.0, Verdict.WORSE),
        ("ssim", 0.8, 0.8004, Verdict.SAME),  # that needs no tolerance
        ("ssim", 0.8, 0.79, Verdict.WORSE),
    ],
)
def test_where_no_chance_came_in_a_figure_must_stay(metric, then, now, expected):
    assert verdict(metric, then, now, without_chance=["row"]) is expected


def test_a_floor_never_improves():
    then, now = {"gray": {"fid_lite2": 30.0, "psnr": 19.0}}, {"gray": {"fid_lite2": 3.0, "psnr": 19.02}}
    assert [value.verdict for value in compare(then, now, GATE, ["gray"])] == [Verdict.MOVED, Verdict.MOVED]


def test_what_is_gone_fails_and_what_is_new_is_told():
    then = {"gray": {"psnr": 19.0}, "gone": {"psnr": 20.0}, "kept": {"psnr": 20.0, "ciede2000": 9.0}}
    now = {"gray": {"psnr": 19.0}, "kept": {"psnr": 20.0}, "fresh": {"psnr": 21.0, "ciede2000": math.nan}}
    found = {(value.row, value.metric): value for value in compare(then, now, GATE, ["gray"])}
    assert {key: value.verdict for key, value in found.items()} == {
        ("gray", "psnr"): Verdict.SAME,
        ("gone", "psnr"): Verdict.MISSING,
        ("kept", "psnr"): Verdict.SAME,
        ("kept", "ciede2000"): Verdict.MISSING,
        ("fresh", "psnr"): Verdict.NEW,
        ("fresh", "ciede2000"): Verdict.MISSING,
    }
    assert found["gone", "psnr"].why == "the row is gone"
    assert found["kept", "ciede2000"].why == "the row no longer has it"


def test_a_metric_without_a_tolerance_is_not_judged_and_the_result_says_so():
    (value,) = compared = compare({"row": {"ssim": 0.8}}, {"row": {"ssim": 0.1}}, GATE, [])
    assert (value.verdict, value.tolerance, value.verdict.fails) == (Verdict.NOT_JUDGED, None, False)
    first, last = as_text(compared, "main").splitlines()[1:]
    assert first.endswith("not judged: it has no tolerance, `tintype calibrate` measures one")
    assert last == "gate passed against main: 1 not judged"
    gone = compare({"row": {"ssim": 0.8}}, {"row": {}}, GATE, [])
    assert [value.verdict for value in gone] == [Verdict.MISSING]


def test_the_result_for_people_and_machines():
    then = {"a": {"psnr": 20.0, "ciede2000": 9.0}, "b": {"psnr": 20.0}}
    compared = compare(then, {"a": {"psnr": 19.0, "ciede2000": 9.0}, "b": {"psnr": 20.4}}, GATE, [])
    text = as_text(compared, "main").splitlines()
    assert text[0].split() == ["row", "metric", "then", "now", "change", "tolerance", "verdict"]
    assert text[1].split() == ["a", "psnr", "20.00", "19.00", "-1.00", "±0.30", "worse"]
    assert text[2].split() == ["b", "psnr", "20.00", "20.40", "+0.40", "±0.30", "improved"]
    assert text[3:] == ["gate closed against main: 1 same, 1 improved, 1 worse"]
    markdown = as_markdown(compared, "main")
    assert markdown.startswith("### ❌ gate closed against main")
    assert "| `a` | psnr | 20.00 | 19.00 | -1.00 | ±0.30 | worse |" in markdown
    told = json.loads(as_json(compared, "main"))
    assert told["passed"] is False
    assert [(f["row"], f["metric"], f["fails"]) for f in told["metrics"]] == [
        ("a", "psnr", True),
        ("a", "ciede2000", False),
        ("b", "psnr", False),
    ]


def test_json_has_no_number_where_there_is_none():
    compared = compare({"a": {"psnr": 20.0}}, {"a": {"psnr": math.nan}}, GATE, [])

    def refused(constant):
        raise AssertionError(f"{constant} is no JSON")

    (value,) = json.loads(as_json(compared, "main"), parse_constant=refused)["metrics"]
    assert (value["then"], value["now"], value["fails"]) == (20.0, None, True)


def test_a_tolerance_is_seven_deviations_of_its_own_row():
    seed_metrics = pd.DataFrame(
        {
            "row": ["a", "a", "a", "b", "b", "b", "gray", "gray", "gray", "seeded", "seeded", "seeded"],
            "seed": [1, 2, 3] * 4,
            "psnr": [9.0, 10.0, 11.0, 17.0, 20.0, 23.0, 9.0, 9.0, 9.0, 20.0, 20.0, 20.0],  # deviations 1 and 3
            "ssim": [0.8, 0.8, 0.8, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9],
            "class_accuracy": [0.5, 0.6, 0.7, *[math.nan] * 9],
        }
    )
    found = tolerances(seed_metrics)
    assert found == {
        "a": {"psnr": 7.0, "ssim": 0.001, "class_accuracy": 0.7},  # no spread: what a table shows
        "b": {"psnr": 21.0, "ssim": 0.001},
    }


def test_tolerances_are_rounded_up_to_two_digits():
    seed_metrics = pd.DataFrame({"row": ["a", "a"], "seed": [1, 2], "psnr": [20.0, 20.0 + 0.1234 * math.sqrt(2)]})
    assert tolerances(seed_metrics)["a"]["psnr"] == 0.87  # 7 * 0.1234 = 0.8638


def test_an_honest_rerun_fails_one_metric_in_2500():
    """As `DEVIATIONS` says: by Student's t, of the difference of two runs over a deviation that ten seeds gave."""
    assert stats.t.sf(DEVIATIONS / math.sqrt(2), df=9) == pytest.approx(1 / 2500, rel=0.05)


def test_each_seed_of_the_default_project_passes_by_the_tolerances_of_the_others():
    """As often as Student's t says: the gate is told of one seed's run what it would say of another's."""
    seed_metrics = pd.read_csv(CHECKOUT / "report/spread.csv")
    trained = seed_metrics[~seed_metrics["row"].isin(BASELINE_NAMES)]

    def share_worse(deviations: float) -> float:
        worse = []
        for _, runs in trained.groupby("row"):
            for name in runs.columns.drop(["row", "seed"]):
                values = runs[name].dropna().to_numpy()
                for i in range(len(values)):
                    others = np.delete(values, i)
                    tolerance = deviations * others.std(ddof=1)
                    away = values[i] - others
                    losses = {"max": -away, "min": away, None: np.abs(away)}[metric_of(name).direction]
                    worse += list(losses > tolerance)
        return float(np.mean(worse))

    assert share_worse(DEVIATIONS) < 1 / 500  # of a metric of a row; 8 degrees of freedom say 1 / 1,800
    assert share_worse(3) > 1 / 100


def test_the_default_projects_tolerances_are_those_of_its_seeds():
    seed_metrics = pd.read_csv(CHECKOUT / "report/spread.csv")
    gate = checked(yaml.safe_load((CHECKOUT / "gate.yaml").read_text()))
    assert gate.tolerances == tolerances(seed_metrics)
    assert gate.measured["seeds"] == seed_metrics["seed"].nunique()
    assert set(seed_metrics["row"]) == {*BASELINE_NAMES, *load_project(CHECKOUT / "params.yaml").rows}


@pytest.fixture(scope="module")
def gated_project(finished_project, tmp_path_factory):
    """A clone of the tiny project that has tolerances, with all data from the other's cache."""
    root = tmp_path_factory.mktemp("gated") / "project"
    finished_project.run("git", "clone", "-q", ".", str(root))
    project = Project(root)
    project.run("dvc", "cache", "dir", "--local", str(finished_project.root / ".dvc/cache"))
    project.run("dvc", "checkout", "-q")
    write_tolerances(project, Pipeline(root).metrics(), relative=0.5)
    project.commit("tolerances")
    return project


def test_the_gate_needs_no_run_of_what_did_not_change(gated_project):
    done = gated_project.run("tintype", "gate", "--against", "HEAD~1")
    assert done.stdout == f"gate passed against HEAD~1: {4 * 12 + 1} same\n"
    assert "Data and pipelines are up to date" in gated_project.run("dvc", "repro", "evaluate", "baselines").stdout


def test_an_evaluation_that_leaks_is_caught_by_floors_and_rows(gated_project):
    source = gated_project.root / "src/tintype/metrics/evaluation.py"
    kept = source.read_text()
    assert 'cache.split("test")' in kept
    source.write_text(kept.replace('cache.split("test")', 'cache.split("train")'))
    try:
        stale = gated_project.run("tintype", "gate", check=False)
        assert stale.returncode == 2
        assert stale.stderr.startswith("error: the metrics here are not those of the code and params here: ")
        assert "its code changed; run `dvc repro` first" in stale.stderr

        gated_project.run("dvc", "repro", "evaluate", "baselines")
        leak = gated_project.run("tintype", "gate", "--json", check=False)
        assert leak.returncode == 1
        failing = {(f["row"], f["metric"]) for f in json.loads(leak.stdout)["metrics"] if f["fails"]}
        assert {("gray", "ciede2000"), ("gan_l1", "ciede2000"), ("wgan_gp_l2_class", "psnr")} <= failing
    finally:
        gated_project.run("git", "checkout", "-q", ".")
        gated_project.run("dvc", "checkout", "-q", "--force")


def test_a_row_that_is_gone_closes_the_gate(gated_project):
    gated_project.change_params({"rows": {"gan_l1": {}}})
    try:
        gated_project.run("dvc", "repro", "evaluate", "baselines")
        done = gated_project.run("tintype", "gate", "--md", check=False)
    finally:
        gated_project.run("git", "checkout", "-q", ".")
        gated_project.run("dvc", "checkout", "-q", "--force")
    assert done.returncode == 1
    assert "| `wgan_gp_l2_class` | psnr |" in done.stdout
    assert "missing: the row is gone" in done.stdout


def test_no_change_is_judged_by_tolerances_that_it_brings_along(gated_project):
    metrics = gated_project.root / "metrics/gan_l1.json"
    kept = metrics.read_text()
    # A project at a revision with better metrics than it has now; and with it a change that calls this loss chance.
    metrics.write_text(json.dumps({**json.loads(kept), "psnr": 60.0}))
    gated_project.commit("better metrics")
    metrics.write_text(kept)
    try:
        write_tolerances(gated_project, Pipeline(gated_project.root).metrics(), relative=1000.0)
        done = gated_project.run("tintype", "gate", check=False)
        assert done.returncode == 1
        assert next(line.split()[:2] for line in done.stdout.splitlines() if "worse" in line) == ["gan_l1", "psnr"]

        (gated_project.root / "gate.yaml").write_text("too_good: 0.5\n")
        done = gated_project.run("tintype", "gate", check=False)
        assert (done.returncode, done.stderr) == (
            2,
            "error: gate.yaml.too_good = 0.5: input should be greater than 1\n",
        )
    finally:
        gated_project.run("git", "reset", "-q", "--hard", "HEAD~1")


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("metrics/gan_l1.json", "<<<<<<< main", "HEAD:metrics/gan_l1.json: allowed is a mapping of names to numbers"),
        (
            "src/tintype/losses/rebalancing.py",
            None,
            "train@gan_l1: its code changed; run `dvc repro` first",
        ),
        ("dvc.lock", "<<<<<<< main\nstages:\n=======\nstages: {}\n>>>>>>> other\n", "dvc.lock: not YAML: "),
    ],
)
def test_what_is_broken_cannot_be_compared(gated_project, path, text, message):
    file = gated_project.root / path
    kept = file.read_text()
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
        gated_project.commit("broken")
    if path.startswith("metrics"):
        file.write_text(kept)
    done = gated_project.run("tintype", "gate", check=False)
    gated_project.run("git", "reset", "-q", "--hard", "HEAD~1" if text else "HEAD")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "nowhere"], "'nowhere': git knows no such revision here"),
        (["--md", "--json"], "--md --json: allowed is one of the two"),
        (["--against", "unmeasured"], "unmeasured: has no metrics/*.json of this project; allowed: a revision where"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_2(gated_project, words, message):
    empty = gated_project.run("git", "hash-object", "-t", "tree", "/dev/null").stdout.strip()
    commit = gated_project.run("git", "commit-tree", empty, "-m", "nothing").stdout.strip()
    gated_project.run("git", "tag", "-f", "unmeasured", commit)
    done = gated_project.run("tintype", "gate", *words, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_a_project_without_tolerances_or_git_is_told_so(finished_project, gated_project, tmp_path):
    done = finished_project.run("tintype", "gate", check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: gate.yaml: no such file; `tintype calibrate` measures the tolerances and writes it\n",
    )
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(gated_project.root / name, tmp_path)
    done = Project(tmp_path).run("tintype", "gate", check=False)
    assert done.returncode == 2
    assert "not in a git repository" in done.stderr


@pytest.mark.parametrize(
    ("tolerances", "message"),
    [
        ({"a": {"psrn": 1.0}}, "gate.yaml: tolerances.a: metric 'psrn': unknown; allowed: psnr"),
        ({"a": {"psnr": -1.0}}, "gate.yaml.tolerances.a.psnr = -1.0: input should be greater than or equal to 0"),
        ({"a": {"psnr": math.inf}}, "gate.yaml.tolerances.a.psnr = inf: input should be a finite number"),
        ({}, "gate.yaml.tolerances = {}: dictionary should have at least 1 item"),
    ],
)
def test_tolerances_that_make_no_sense_are_refused(tolerances, message):
    with pytest.raises(UserError, match=re.escape(message)):
        checked({"too_good": 10.0, "measured": {"seeds": 10}, "tolerances": tolerances})


def test_a_gate_in_params_is_refused_with_the_new_place(tmp_path):
    params = {**yaml.safe_load((CHECKOUT / "params.yaml").read_text()), "gate": {"too_good": 10.0}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match=r"^gate: is now gate\.yaml, a file of its own, which `tintype calibrate` wri"):
        load_project(tmp_path / "params.yaml")
