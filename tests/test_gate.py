"""The metric gate: its verdicts, its tolerances, and a project that passes and fails it."""

import json
import math
import re
import shutil

import pandas as pd
import pytest
import yaml
from conftest import CHECKOUT, Project

from tintype.config import FLOOR_NAMES, Gate, load_project
from tintype.errors import UserError
from tintype.metrics.registry import check_names, metric_of
from tintype.project.gate.compare import Verdict, compare
from tintype.project.gate.show import as_json, as_markdown, as_text
from tintype.project.gate.tolerances import DEVIATIONS, tolerances

GATE = Gate.model_validate(
    {
        "too_good": 10,
        "tolerances": {
            "psnr": {"direction": "max", "absolute": 0.1, "relative": 0.01},
            "ciede2000": {"direction": "min", "absolute": 0.5, "relative": 0},
            "colorfulness": {"direction": "none", "absolute": 2, "relative": 0},
            "fid_lite2": {"direction": "min", "absolute": 0, "relative": 0.1},
        },
    }
)


def verdict(metric, then, now, without_chance=()):
    (figure,) = compare({"row": {metric: then}}, {"row": {metric: now}}, GATE, without_chance)
    return figure.verdict


@pytest.mark.parametrize(
    ("metric", "then", "now", "expected"),
    [
        ("psnr", 20.0, 19.71, Verdict.SAME),  # 0.1 + 0.01 * 20 = 0.3
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
        ("fid_lite2", -2.0, -1.9, Verdict.SAME),  # the tolerance is of the size, not of the sign
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
    assert [figure.verdict for figure in compare(then, now, GATE, ["gray"])] == [Verdict.MOVED, Verdict.MOVED]


def test_what_is_gone_fails_and_what_is_new_is_told():
    then = {"gray": {"psnr": 19.0}, "gone": {"psnr": 20.0}, "kept": {"psnr": 20.0, "ciede2000": 9.0}}
    now = {"gray": {"psnr": 19.0}, "kept": {"psnr": 20.0}, "fresh": {"psnr": 21.0, "ciede2000": math.nan}}
    found = {(figure.row, figure.metric): figure for figure in compare(then, now, GATE, ["gray"])}
    assert {key: figure.verdict for key, figure in found.items()} == {
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
    (figure,) = compared = compare({"row": {"ssim": 0.8}}, {"row": {"ssim": 0.1}}, GATE, [])
    assert (figure.verdict, figure.tolerance, figure.verdict.fails) == (Verdict.NOT_JUDGED, None, False)
    first, last = as_text(compared, "main").splitlines()[1:]
    assert first.endswith("not judged: it has no tolerance, `tintype gate --calibrate` measures one")
    assert last == "gate passed against main: 1 not judged"
    gone = compare({"row": {"ssim": 0.8}}, {"row": {}}, GATE, [])
    assert [figure.verdict for figure in gone] == [Verdict.MISSING]


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
    assert [(f["row"], f["metric"], f["fails"]) for f in told["figures"]] == [
        ("a", "psnr", True),
        ("a", "ciede2000", False),
        ("b", "psnr", False),
    ]


def test_json_has_no_number_where_there_is_none():
    compared = compare({"a": {"psnr": 20.0}}, {"a": {"psnr": math.nan}}, GATE, [])

    def refused(constant):
        raise AssertionError(f"{constant} is no JSON")

    (figure,) = json.loads(as_json(compared, "main"), parse_constant=refused)["figures"]
    assert (figure["then"], figure["now"], figure["fails"]) == (20.0, None, True)


def test_a_tolerance_lies_over_every_rows_spread():
    # psnr: standard deviations 1 at 10 and 3 at 20, so that the lowest line over both goes through both:
    # 0.2 * size - 1 would have a negative absolute part, so relative alone: the larger of 1 / 10 and 3 / 20.
    # ciede2000: 1 at 10 and 1.5 at 20: 0.5 + 0.05 * size.
    spread = pd.DataFrame(
        {
            "row": ["a", "a", "a", "b", "b", "b"],
            "seed": [1, 2, 3, 1, 2, 3],
            "psnr": [9.0, 10.0, 11.0, 17.0, 20.0, 23.0],
            "ciede2000": [9.0, 10.0, 11.0, 18.5, 20.0, 21.5],
            "ssim": [0.8, 0.8, 0.8, 0.9, 0.9, 0.9],
        }
    )
    found = tolerances(spread)
    assert (found["psnr"].direction, found["ciede2000"].direction) == ("max", "min")
    assert (found["psnr"].absolute, found["psnr"].relative) == (0, pytest.approx(0.15 * DEVIATIONS, rel=0.05))
    assert found["ciede2000"].absolute == pytest.approx(0.5 * DEVIATIONS, rel=0.05)  # rounded up to two digits
    assert found["ciede2000"].relative == pytest.approx(0.05 * DEVIATIONS, rel=0.05)
    assert (found["ssim"].absolute, found["ssim"].relative) == (0.001, 0)  # no spread: what a table shows


def test_the_default_projects_tolerances_are_those_of_its_spread():
    spread = pd.read_csv(CHECKOUT / "report/spread.csv")
    gate = load_project(CHECKOUT / "params.yaml").gate
    assert gate is not None
    assert gate.tolerances == tolerances(spread)
    assert spread["seed"].nunique() >= 5
    assert set(spread["row"]) == {*FLOOR_NAMES, *load_project(CHECKOUT / "params.yaml").rows}


def test_a_metric_that_only_some_rows_have_is_judged_by_those():
    spread = pd.DataFrame(
        {"row": ["a", "a", "b", "b"], "seed": [1, 2, 1, 2], "psnr": [20.0, 20.0 + math.sqrt(2), math.nan, math.nan]}
    )
    found = tolerances(spread)["psnr"]
    assert found.around(20.7) == pytest.approx(DEVIATIONS, rel=0.05)


@pytest.fixture(scope="module")
def gated_project(finished_project, tmp_path_factory):
    """A clone of the tiny project that has tolerances, with all data from the other's cache."""
    root = tmp_path_factory.mktemp("gated") / "project"
    finished_project.run("git", "clone", "-q", ".", str(root))
    project = Project(root)
    project.run("dvc", "cache", "dir", "--local", str(finished_project.root / ".dvc/cache"))
    project.run("dvc", "checkout", "-q")
    names = json.loads((root / "metrics/wgan_gp_l2_class.json").read_text())  # with class_accuracy, the others' too
    wide = {
        name: {"direction": metric_of(name).direction or "none", "absolute": 0.01, "relative": 0.5} for name in names
    }
    project.change_params({"gate": {"too_good": 10.0, "tolerances": wide}})
    project.commit("tolerances")
    return project


def test_the_gate_needs_no_run_of_what_did_not_change(gated_project):
    done = gated_project.run("tintype", "gate", "--against", "HEAD~1")
    assert done.stdout == f"gate passed against HEAD~1: {4 * 12 + 1} same\n"
    assert "Data and pipelines are up to date" in gated_project.run("dvc", "repro", "evaluate", "floors").stdout


def test_an_evaluation_that_leaks_is_caught_by_floors_and_rows(gated_project):
    source = gated_project.root / "src/tintype/metrics/project_evaluation.py"
    kept = source.read_text()
    assert 'cache.split("test")' in kept
    source.write_text(kept.replace('cache.split("test")', 'cache.split("train")'))
    try:
        stale = gated_project.run("tintype", "gate", check=False)
        assert stale.returncode == 2
        assert stale.stderr.startswith("error: the figures here are not those of the code and params here: ")
        assert "its code changed; run `dvc repro` first" in stale.stderr

        gated_project.run("dvc", "repro", "evaluate", "floors")
        leak = gated_project.run("tintype", "gate", "--json", check=False)
        assert leak.returncode == 1
        failing = {(f["row"], f["metric"]) for f in json.loads(leak.stdout)["figures"] if f["fails"]}
        assert {("gray", "ciede2000"), ("gan_l1", "ciede2000"), ("wgan_gp_l2_class", "psnr")} <= failing
    finally:
        gated_project.run("git", "checkout", "-q", ".")
        gated_project.run("dvc", "checkout", "-q", "--force")


def test_a_row_that_is_gone_closes_the_gate(gated_project):
    gated_project.change_params({"rows": {"gan_l1": {}}})
    try:
        gated_project.run("dvc", "repro", "evaluate", "floors")
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
    # A project at a revision with better figures than it has now; and with it a change that calls this loss chance.
    metrics.write_text(json.dumps({**json.loads(kept), "psnr": 60.0}))
    gated_project.commit("better figures")
    metrics.write_text(kept)
    try:
        gated_project.change_params({"gate": {"tolerances": {"psnr": {"absolute": 1000.0}}}})
        done = gated_project.run("tintype", "gate", check=False)
        assert done.returncode == 1
        assert next(line.split()[:2] for line in done.stdout.splitlines() if "worse" in line) == ["gan_l1", "psnr"]

        gated_project.change_params({"gate": {"tolerances": {"psnr": {"direction": "min"}}}})
        done = gated_project.run("tintype", "gate", check=False)
        assert (done.returncode, done.stderr) == (
            2,
            "error: gate.tolerances.psnr.direction = 'min': allowed: 'max'\n",
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
        "error: gate: not in params.yaml; `tintype gate --calibrate` measures and writes it\n",
    )
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(gated_project.root / name, tmp_path)
    done = Project(tmp_path).run("tintype", "gate", check=False)
    assert done.returncode == 2
    assert "not in a git repository" in done.stderr


@pytest.mark.parametrize(
    ("tolerances", "message"),
    [
        ({"psnr": {"direction": "min", "absolute": 1.0, "relative": 0.0}}, "gate.tolerances.psnr.direction = 'min'"),
        ({"psrn": {"direction": "max", "absolute": 1.0, "relative": 0.0}}, "metric 'psrn': unknown; allowed: psnr"),
        ({"psnr": {"direction": "max", "absolute": -1.0, "relative": 0.0}}, "gate.tolerances.psnr.absolute = -1.0"),
    ],
)
def test_tolerances_that_make_no_sense_are_refused(tmp_path, tolerances, message):
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    params["gate"] = {"too_good": 10.0, "tolerances": tolerances}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match=re.escape(message)):
        check_names(load_project(tmp_path / "params.yaml"))
