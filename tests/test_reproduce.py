"""`tintype reproduce`: runs of the tiny project made again, changed behind its back, and refused."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import psutil
import pytest
import yaml
from conftest import Project

from tintype.errors import UserError
from tintype.models import weights_hash
from tintype.project.pipeline import Pipeline, out_hash
from tintype.project.reproduce import reproduce
from tintype.project.reproduce.compare import Verdict, compare
from tintype.project.reproduce.origin import find_origin


@pytest.fixture
def store(finished_project, tmp_path, monkeypatch):
    """A copy of the project's MLflow store, to change; every command of the test uses it."""
    shutil.copy(finished_project.root / "mlflow.db", tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = mlflow.MlflowClient(uri)
    # The project ran before its first commit, which holds just what ran.
    run_id, commit = champion(client), finished_project.run("git", "rev-parse", "HEAD").stdout.strip()
    for prefix in ("", "test_"):
        client.set_tag(run_id, f"{prefix}git_commit", commit)
        client.set_tag(run_id, f"{prefix}git_dirty", "false")
    return client


def champion(client):
    return client.get_model_version_by_alias("colorizer", "champion").run_id


def state(project):
    """All that a reproduction must leave as it was."""
    git = [("worktree", "list"), ("status", "--porcelain"), ("for-each-ref",)]
    files = [path for root in (".dvc/cache", ".tintype", "mlartifacts") for path in (project.root / root).rglob("*")]
    store = Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))
    return [project.run("git", *words).stdout for words in git], sorted(map(str, files)), store.read_bytes()


def test_the_champion_is_made_again_to_the_bit_and_leaves_nothing(finished_project, store):
    row = json.loads((finished_project.root / "report/registered.json").read_text())["row"]
    before = state(finished_project)
    done = finished_project.run("tintype", "reproduce", "models:/colorizer@champion")
    assert f"Running stage 'train@{row}'" in done.stderr
    assert f"Running stage 'evaluate@{row}'" in done.stderr
    assert "Running stage 'preprocess'" not in done.stderr  # from the cache
    lines = done.stdout.splitlines()
    assert lines[-1] == "reproduced: identical to the bit"
    verdicts = {line.split()[0]: line.split()[1:] for line in lines[1:-1]}
    digest = weights_hash(finished_project.root / "models" / row)[:16]
    assert verdicts["weights"] == [digest, digest, "identical"]
    metrics = json.loads((finished_project.root / f"metrics/{row}.json").read_text())
    assert verdicts.keys() == {"config", "photos", "weights", *metrics}
    assert state(finished_project) == before


def test_a_run_from_uncommitted_changes_is_found_by_the_lock_that_was_committed_later(finished_project):
    head = finished_project.run(
        "git", "rev-parse", "HEAD"
    ).stdout.strip()  # the tiny project ran, then its lock was committed
    before = finished_project.run("git", "rev-parse", "HEAD~1").stdout.strip()
    tags = {"row": "gan_l1", "project": ".", "git_commit": before, "git_dirty": "true", "weights_sha256": "x"}
    with pytest.raises(UserError, match="made from uncommitted changes"):
        find_origin("run", tags, finished_project.root)
    tags["model_md5"] = out_hash(Pipeline(finished_project.root).lock(), "models/gan_l1")
    assert find_origin("run", tags, finished_project.root).commit == head


def test_what_is_not_the_same_is_named(finished_project, store):
    run_id = champion(store)
    store.set_tag(run_id, "weights_sha256", "0" * 64)
    store.log_metric(run_id, "test_psnr", 99.0)
    before = state(finished_project)
    done = finished_project.run("tintype", "reproduce", run_id, check=False)
    assert done.returncode == 1
    last = "not reproduced: not the same: weights, psnr; torch, device and threads are the same"
    assert done.stdout.splitlines()[-1] == last
    assert state(finished_project) == before


@pytest.mark.slow
def test_a_run_of_an_experiment_is_made_from_the_commit_of_the_experiment(finished_project, store):
    # No other test of this project trains with this weight: from its run cache DVC would take a row without a run.
    experiment = ("-n", "bold", "-S", "loss.l1_weight=256")
    finished_project.run("dvc", "exp", "run", "--temp", *experiment, "evaluate@gan_l1")
    try:
        names = [experiment.experiment_id for experiment in store.search_experiments()]
        (run,) = store.search_runs(names, "tags.dvc_experiment = 'bold'")
        assert run.data.tags["git_dirty"] == "true"  # its params are in no commit of a branch
        before = state(finished_project)
        done = finished_project.run("tintype", "reproduce", f"runs:/{run.info.run_id}")
        assert "reproduced: identical to the bit" in done.stdout
        assert run.data.tags["weights_sha256"] != store.get_run(champion(store)).data.tags["weights_sha256"]
        assert state(finished_project) == before
    finally:
        finished_project.run("dvc", "exp", "remove", "bold")
    with pytest.raises(UserError, match=r"DVC's experiment 'bold' on .* is not in this checkout; `dvc exp pull`"):
        reproduce(run.info.run_id, finished_project.root)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({}, 0, "reproduced: identical to the bit"),
        ({"filter": {"seed": 2}}, 1, "not reproduced: the project's photos are not those of the run"),
        ({"loss": {"l1_weight": 3.0}}, 2, "loss.l1_weight: was 100.0 in the run, is 3.0 in its project now"),
    ],
)
def test_a_project_outside_git_is_made_again_from_present_params(finished_project, store, tmp_path, change, code, told):
    # It has the photos and params of the champion's project, and a store that says the champion was made in it.
    project = Project(tmp_path / "my project")
    project.root.mkdir()
    (project.root / "params.yaml").write_text(
        yaml.safe_dump({**finished_project.params(), "repo": str(finished_project.root)})
    )
    project.change_params(change)
    (project.root / "dvc.yaml").symlink_to(finished_project.root / "dvc.yaml")
    store.set_tag(champion(store), "project", str(project.root))
    done = project.run("tintype", "reproduce", "models:/colorizer/1", check=False)
    assert done.returncode == code, done.stderr[-2000:]
    assert told in (done.stdout or done.stderr).splitlines()[-1]
    assert "tintype/reproduce-" not in finished_project.run("git", "worktree", "list").stdout


def test_a_kill_leaves_no_worktree_and_no_process(finished_project, store):
    before = state(finished_project)
    killed = subprocess.Popen(
        [Path(sys.executable).parent / "tintype", "reproduce", champion(store)],
        cwd=finished_project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in killed.stderr:
        if "mlflow.store.db" in line:  # the training has begun to make its store
            break
    started = psutil.Process(killed.pid).children(recursive=True)
    assert any("stages/train.py" in " ".join(process.cmdline()) for process in started)
    killed.send_signal(signal.SIGTERM)
    killed.communicate(timeout=60)
    assert killed.returncode == 128 + signal.SIGTERM
    assert psutil.wait_procs(started, timeout=60)[1] == []
    assert state(finished_project) == before


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"git_commit": "none", "git_dirty": "unknown"}, "run ID: made before there was a commit"),
        ({"git_dirty": "true"}, "run ID: made from uncommitted changes to [0-9a-f]{12}; no commit holds what ran"),
        ({"git_commit": "c0ffee" * 6 + "c0ff"}, "run ID: commit c0ffee\\w+ is not in this checkout; `git fetch`"),
        ({"project": "projects/gone"}, "run ID: its project projects/gone is neither in commit [0-9a-f]{12} nor here"),
        ({"row": "gone"}, "row 'gone': not in the run's params.yaml; allowed: gan_l1, wgan_gp_l2_class"),
        ({"row": None}, "run ID: no tags row and git_commit; allowed: a run of tintype's stages"),
        ({"weights_sha256": None}, "run ID: its training did not finish"),
    ],
)
def test_a_run_that_cannot_be_made_again_is_refused(finished_project, store, tags, message):
    run_id = champion(store)
    for name, value in tags.items():
        if value is None:
            store.delete_tag(run_id, name)
            continue
        store.set_tag(run_id, name, value)
        if name.startswith("git"):
            store.set_tag(run_id, f"test_{name}", value)
    store.set_tag(run_id, "model_md5", "c0ffee.dir")  # of weights that no dvc.lock holds
    before = state(finished_project)
    with pytest.raises(UserError, match=message.replace("ID", run_id)):
        reproduce(run_id, finished_project.root / "src")  # anywhere in the checkout
    assert state(finished_project) == before


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("0" * 32, "0{32}: .*not found"),
        ("models:/colorizer@nobody", "models:/colorizer@nobody: .*nobody"),
        ("models:/colorizer/77", "models:/colorizer/77: .*77"),
        ("models:/stranger/1", "models:/stranger/1: .*stranger"),
        ("models:/colorizer", "'models:/colorizer': allowed: RUN_ID, runs:/RUN_ID, models:/NAME/VERSION, "),
        ("../mlflow.db", "allowed: RUN_ID"),
    ],
)
def test_what_names_no_run_is_refused(finished_project, store, reference, message):
    with pytest.raises(UserError, match=message) as refused:
        reproduce(reference, finished_project.root)
    assert "\n" not in str(refused.value)


def test_a_refusal_is_one_line_and_makes_no_store(finished_project, tmp_path):
    outside = Project(tmp_path).run("tintype", "reproduce", "a" * 32, check=False)
    assert (outside.returncode, outside.stderr) == (
        2,
        f"error: {tmp_path}: neither in tintype's checkout nor in a project\n",
    )
    store = f"sqlite:///{tmp_path}/mlflow.db"
    empty = finished_project.run("env", f"MLFLOW_TRACKING_URI={store}", "tintype", "reproduce", "a" * 32, check=False)
    assert (empty.returncode, empty.stderr) == (
        2,
        f"error: {store}: no MLflow store there; where it is elsewhere, set MLFLOW_TRACKING_URI\n",
    )
    assert list(tmp_path.iterdir()) == []


TOLERANCES = {"psnr": 0.3}
HERE = {"torch": "2.11.0", "device": "cpu", "threads": "2"}
RUN = {"config_sha256": "c", "data_sha256": "d", "weights_sha256": "w"}


def failing(made):
    return [finding.what for finding in made.findings if finding.fails]


def test_on_the_same_machine_every_bit_counts():
    tags = {**RUN, **HERE}
    made = compare(tags, {"test_psnr": 20.0}, tags, {"test_psnr": math.nextafter(20.0, 21)}, TOLERANCES)
    assert failing(made) == ["psnr"]
    made = compare(tags, {"test_psnr": 20.0}, {**tags, "weights_sha256": "x"}, {"test_psnr": 20.0}, TOLERANCES)
    assert failing(made) == ["weights"]


@pytest.mark.parametrize(
    ("now", "psnr", "tolerances", "named"),
    [
        ({"weights_sha256": "x"}, 20.29, TOLERANCES, []),
        ({"weights_sha256": "x"}, 19.71, TOLERANCES, []),
        ({"weights_sha256": "x"}, 20.31, TOLERANCES, ["psnr"]),
        ({"weights_sha256": "x"}, 20.29, None, ["psnr"]),
        ({"weights_sha256": "x", "data_sha256": "x"}, 20.0, TOLERANCES, ["photos"]),
        ({"weights_sha256": "x"}, None, TOLERANCES, ["weights"]),  # nothing to judge them by
    ],
)
def test_on_another_machine_metrics_decide(now, psnr, tolerances, named):
    metrics = {} if psnr is None else {"test_psnr": psnr}
    tags = {**RUN, **HERE, "threads": "1", **now}
    made = compare({**RUN, **HERE}, {"test_psnr": 20.0, "loss": 1.0}, tags, metrics, tolerances)
    assert failing(made) == named
    assert made.failed == bool(named)
    assert ("threads was 2, is 1" in str(made).splitlines()[-1]) == (named != ["photos"])


def test_a_run_without_an_environment_may_be_of_another_one():
    tags = {**RUN, **HERE, "weights_sha256": "x"}
    made = compare(RUN, {"test_psnr": 20.0, "test_old": 1.0}, tags, {"test_psnr": 20.1}, TOLERANCES)
    verdicts = {finding.what: finding.verdict for finding in made.findings}
    assert (verdicts["psnr"], verdicts["old"]) == (Verdict.WITHIN, Verdict.UNCOMPARED)
    assert not made.failed


def test_on_another_machine_a_metric_without_a_tolerance_is_not_compared():
    tags = {**RUN, **HERE, "threads": "1", "weights_sha256": "x"}
    metrics = {"test_psnr": 20.0, "test_ssim": 0.8}
    made = compare({**RUN, **HERE}, metrics, tags, {"test_psnr": 20.1, "test_ssim": 0.7}, TOLERANCES)
    assert {finding.what: finding.verdict for finding in made.findings}["ssim"] is Verdict.UNCOMPARED
    assert not made.failed


def test_the_project_of_a_run_without_the_tag_is_in_its_command(finished_project):
    commit = finished_project.run("git", "rev-parse", "HEAD").stdout.strip()
    command = f"git checkout {commit} && cd 'tables/coco8k' && dvc repro evaluate@gan"
    tags = {"row": "gan", "git_commit": commit, "git_dirty": "false", "weights_sha256": "w", "reproduce": command}
    assert find_origin("id", tags, finished_project.root) == (commit, Path("tables/coco8k"), "gan", True)


def test_the_commit_that_measured_comes_first_and_else_the_one_that_trained(finished_project):
    here = finished_project.run("git", "rev-parse", "HEAD").stdout.strip()
    gone = "c0ffee" * 6 + "c0ff"

    def commit(trained, measured, dirty="false"):
        tags = {"row": "gan_l1", "project": ".", "weights_sha256": "w", "git_commit": trained, "git_dirty": dirty}
        measuring = {"test_git_commit": measured, "test_git_dirty": "false", "test_dvc_experiment": ""}
        return find_origin("id", {**tags, **measuring}, finished_project.root).commit

    assert commit(gone, here) == here
    assert commit(here, here, dirty="true") == here  # committed, then measured again
    assert commit(here, gone) == here
    with pytest.raises(UserError, match="commit c0ffee"):
        commit(gone, gone)
