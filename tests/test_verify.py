"""`tintype verify`: a project of which all agrees, and every kind of disagreement planted in it."""

import json
import math
import os
import shutil
from contextlib import contextmanager

import pytest
import torch
from conftest import Project

from tintype.config import load_project
from tintype.errors import UserError
from tintype.files import folder_hash
from tintype.models import build_generator, save_generator, weights_hash
from tintype.project.pipeline import Pipeline, out_hash
from tintype.project.verify import CHECKS, verify
from tintype.project.verify.metrics import differences
from tintype.tracking.registry import register
from tintype.tracking.runs import Tracker

WEIGHTS = "models/gan_l1/generator.safetensors"


@pytest.fixture(scope="module", autouse=True)
def _own_store():
    """Other tests' trackers leave theirs in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def project(finished_project, tmp_path_factory):
    """A clone of the tiny project with a cache, a registry and a README of its own; its weights come from the cache."""
    root = tmp_path_factory.mktemp("verified") / "project"
    finished_project.run("git", "clone", "-q", ".", str(root))
    shutil.copytree(finished_project.root / ".dvc/cache", root / ".dvc/cache")
    project = Project(root)
    project.run("dvc", "checkout", "-q")
    for file in (root / "metrics").iterdir():  # those of the checkout's own project have come along
        if file.stem not in ("gray", "mean_ab", *project.params()["rows"]):
            file.unlink()
    project.run("dvc", "repro")  # the report and the registry
    (root / "README.md").write_text(f"# A project\n\n{(root / 'report/table.md').read_text()}\n| a | b |\n|---|---|\n")
    project.commit("verified")
    return project


def disagreements(project, *checks):
    """Of the checks, all by default, that found any."""
    pipeline = Pipeline(project.root)
    found = {name: CHECKS[name](pipeline) for name in checks or CHECKS}
    return {name: list(finding.disagreements) for name, finding in found.items() if finding.disagreements}


@contextmanager
def planted(path, content):
    """Other content in the same file, its mtime kept; all as before afterwards."""
    kept, about = path.read_bytes(), path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    try:
        yield
    finally:
        path.write_bytes(kept)
        path.chmod(about.st_mode)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def one_bit_flipped(path):
    content = bytearray(path.read_bytes())
    content[-4] ^= 1  # the last weight's last bit: too little for any metric
    return bytes(content)


def cached(project, path):
    """DVC's object of a file in models/gan_l1."""
    folder = out_hash(Pipeline(project.root).lock(), "models/gan_l1")
    cache = project.root / ".dvc/cache/files/md5"
    files = {file["relpath"]: file["md5"] for file in json.loads((cache / folder[:2] / folder[2:]).read_text())}
    return cache / files[path][:2] / files[path][2:]


def test_an_untouched_project_agrees_and_stays_untouched(project):
    done = project.run("tintype", "verify")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "files"],
        ["ok", "metrics"],
        ["ok", "table"],
        ["ok", "champion"],
        ["verify:", "nothing"],
    ]
    assert "4 rows measured again" in done.stdout
    assert "report/ and README.md" in done.stdout
    assert project.run("git", "status", "--porcelain").stdout == ""


def test_one_bit_is_found_that_dvc_status_does_not_see(project):
    with planted(project.root / WEIGHTS, one_bit_flipped(project.root / WEIGHTS)):
        assert json.loads(project.run("dvc", "status", "--json").stdout) == {}
        assert disagreements(project) == {"files": ["models/gan_l1: not what dvc.lock says"]}


def test_a_changed_output_is_found_that_the_cache_lacks(project):
    thing = cached(project, "generator.safetensors")
    kept = thing.rename(project.root / ".tintype-kept")
    try:
        assert disagreements(project, "files") == {}
        with planted(project.root / WEIGHTS, one_bit_flipped(project.root / WEIGHTS)):
            assert disagreements(project) == {"files": ["models/gan_l1: not what dvc.lock says"]}
    finally:
        kept.rename(thing)


@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_a_damaged_object_in_the_cache_is_found_and_left(project, mode):
    thing = cached(project, "generator.safetensors")
    with planted(thing, one_bit_flipped(thing)):
        thing.chmod(mode)  # DVC trusts what is read-only, and removes what is not
        line = f"{thing.relative_to(project.root)}: damaged, of models/gan_l1 in DVC's cache; remove it"
        assert disagreements(project) == {"files": [line]}
        assert disagreements(project, "files") == {"files": [line]}


def test_an_edited_metric_disagrees_with_lock_weights_and_report(project):
    path = project.root / "metrics/gan_l1.json"
    metrics = json.loads(path.read_text())
    with planted(path, json.dumps({**metrics, "psnr": 31.25}).encode()):
        found = disagreements(project)
    assert found["files"] == ["metrics/gan_l1.json: not what dvc.lock says"]
    assert found["metrics"] == [f"gan_l1: psnr: 31.25 stored, {metrics['psnr']!r} measured"]
    assert f"report/table.csv: gan_l1: psnr {metrics['psnr']!r} instead of 31.25" in found["table"]
    assert {line.split(":")[0] for line in found["table"]} == {"report/table.md", "report/table.csv", "README.md"}
    assert "champion" not in found


def test_figures_of_a_row_that_is_gone_are_found(project):
    shutil.copy(project.root / "metrics/gan_l1.json", project.root / "metrics/old.json")
    try:
        found = disagreements(project)
    finally:
        (project.root / "metrics/old.json").unlink()
    assert found == {
        "files": ["metrics: changed since report, register ran"],
        "metrics": ["metrics/old.json: of no row in params.yaml"],
    }


def test_an_edited_number_or_line_in_the_readme_is_found(project):
    readme = project.root / "README.md"
    lines = readme.read_text().splitlines()
    (number,) = (i for i, line in enumerate(lines) if line.startswith("| `gan_l1` |"))
    psnr = lines[number].split("|")[2].strip()
    edited = [*lines[:number], lines[number].replace(psnr, "31.25", 1), *lines[number + 1 :]]
    with planted(readme, "\n".join(edited).encode()):
        done = project.run("tintype", "verify", check=False)
    assert done.returncode == 1
    assert f"      README.md: `gan_l1`: psnr ↑ 31.25 instead of {psnr}\n" in done.stdout
    assert done.stdout.endswith("verify: something disagrees: table\n")
    with planted(readme, "\n".join(lines[:number] + lines[number + 1 :]).encode()):
        assert disagreements(project, "table") == {"table": [f"README.md: lacks: {lines[number]}"]}


def test_code_and_params_that_the_lock_does_not_know_are_found(project):
    source, params = project.root / "src/tintype/losses/reconstruction.py", project.root / "params.yaml"
    with planted(source, source.read_bytes() + b"# a thought\n"):
        assert not disagreements(project)
    with planted(source, source.read_bytes() + b"HALF = 0.5\n"):
        assert disagreements(project) == {"files": ["code: changed since train@gan_l1, train@wgan_gp_l2_class ran"]}
    changed = params.read_text().replace("l1_weight: 100.0", "l1_weight: 99.0")
    assert changed != params.read_text()
    with planted(params, changed.encode()):
        assert disagreements(project, "files") == {"files": ["params.yaml: loss changed since configure ran"]}
    kept = source.rename(project.root / ".tintype-kept")
    try:
        (line,) = disagreements(project, "files")["files"]
    finally:
        kept.rename(source)
    assert line == "code: changed since train@gan_l1, train@wgan_gp_l2_class ran"


def test_the_projects_own_code_measures_again(project):
    source = project.root / "src/tintype/metrics/evaluation.py"
    leak = source.read_text().replace('cache.split("test")', 'cache.split("train")')
    assert leak != source.read_text()
    with planted(source, leak.encode()):
        done = project.run("tintype", "verify", "--json", check=False)
    assert done.returncode == 1
    found = {check["check"]: check["disagreements"] for check in json.loads(done.stdout)["checks"]}
    assert found["files"] == [
        "code: changed since evaluate@gan_l1, evaluate@wgan_gp_l2_class, baselines and 1 more ran"
    ]
    assert {line.split(":")[0] for line in found["metrics"]} == {"gray", "mean_ab", "gan_l1", "wgan_gp_l2_class"}
    assert not found["table"]
    assert not found["champion"]


def test_champions_weights_that_are_not_those_registered_are_found(project):
    (held,) = (project.root / "mlartifacts").rglob("generator.safetensors")
    with planted(held, one_bit_flipped(held)):
        found = disagreements(project)
    assert list(found) == ["champion"]
    (line,) = found["champion"]
    assert line.startswith("champion version 1 (row ")
    assert "its weights in MLflow's store have SHA-256" in line
    store = project.root / "mlflow.db"
    with planted(store, b"no database"):
        (line,) = disagreements(project, "champion")["champion"]
    assert line.startswith(f"sqlite:///{store}: cannot be read: ")


def test_what_the_project_says_it_registered_must_be_in_the_registry(project):
    path = project.root / "report/registered.json"
    registered = json.loads(path.read_text())
    with planted(path, json.dumps({**registered, "row": "other"}).encode()):
        (line,) = disagreements(project)["champion"]
    assert line == f"report/registered.json: version 1 has row other; MLflow says {registered['row']}"


def test_a_champion_of_an_earlier_lock_can_be_made_again(project):
    lock = project.root / "dvc.lock"
    digest = out_hash(Pipeline(project.root).lock(), f"models/{champion_row(project)}")
    with planted(lock, lock.read_bytes().replace(digest.encode(), b"0" * 32 + b".dir")):
        assert list(disagreements(project)) == ["files"]


def champion_row(project):
    return json.loads((project.root / "report/registered.json").read_text())["row"]


@pytest.fixture
def foreign_champion(project, tmp_path, monkeypatch):
    """A registry whose champion the project's lock does not know, its client, and the run that made it, at HEAD."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    registered = (project.root / "report/registered.json").rename(tmp_path / "registered.json")
    row = load_project(project.root / "params.yaml").row("gan_l1")
    torch.manual_seed(5)
    generator = build_generator(row.generator, 0, 32)
    save_generator(tmp_path / "weights", generator, config=row.generator, classes=[], image_size=32)
    tracker = Tracker(project.root, project.root)
    with tracker.training_run(row, "key", project.root / "data/lab", "digest") as run:
        run.finish(weights_hash(tmp_path / "weights"))
    register(
        tracker,
        model_name="colorizer",
        row="gan_l1",
        weights=tmp_path / "weights",
        metric="ciede2000",
        direction="min",
        metrics={"ciede2000": 1.0},
        test_split="split",
        rescore=lambda weights: 0.0,
        experiment=None,
    )
    yield tracker.client, run.run_id
    registered.rename(project.root / "report/registered.json")


def test_a_champion_that_no_project_can_make_again_is_found(project, foreign_champion, tmp_path):
    client, run = foreign_champion
    assert disagreements(project, "champion") == {}  # of the present commit, though not of the present lock

    def why():
        (line,) = disagreements(project, "champion")["champion"]
        start = "champion version 1 (row gan_l1): not in dvc.lock, and no project can make it again: "
        assert line.startswith(start)
        return line.removeprefix(start)

    client.set_tag(run, "git_dirty", "true")
    assert "made from uncommitted changes" in why()
    client.set_tag(run, "git_dirty", "false")

    lost = project.run("git", "commit-tree", "HEAD^{tree}", "-m", "on a branch").stdout.strip()
    client.set_tag(run, "git_commit", lost)
    assert disagreements(project, "champion") == {}
    project.run("git", "prune", "--expire=now")  # as git does with what no branch leads to
    assert f"commit {lost} is not in this checkout" in why()
    assert list(disagreements(project)) == ["champion"]

    # A project that git does not hold is what it is now.
    client.set_tag(run, "git_commit", project.run("git", "rev-parse", "HEAD").stdout.strip())
    client.set_tag(run, "project", str(tmp_path))
    shutil.copy(project.root / "params.yaml", tmp_path)
    assert disagreements(project, "champion") == {}
    Project(tmp_path).change_params({"rows": {"other": {}}})
    assert why() == f"row gan_l1 is no longer in {tmp_path / 'params.yaml'}"


def test_a_clone_that_never_ran_is_checked_as_far_as_it_goes(project, tmp_path):
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "-q", ".", str(clone.root))
    told = json.loads(clone.run("tintype", "verify", "--json").stdout)
    assert told["agrees"] is True
    found = {check["check"]: check for check in told["checks"]}
    verdicts = {name: check["verdict"] for name, check in found.items()}
    assert verdicts == {"files": "ok", "metrics": "skip", "table": "ok", "champion": "skip"}
    assert "not here; `dvc pull` or `dvc repro` brings it" in found["files"]["unseen"][0]
    assert not (clone.root / "mlflow.db").exists()


def test_what_is_no_finished_project_is_one_line_and_exit_2(project, tmp_path):
    done = Project(tmp_path).run("tintype", "verify", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no params.yaml here" in done.stderr
    with planted(project.root / "dvc.lock", b""):
        done = project.run("tintype", "verify", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {project.root}: no dvc.lock here, it never ran; `dvc repro` runs it\n"
    with (
        planted(project.root / "dvc.lock", b"<<<<<<< HEAD\n" + (project.root / "dvc.lock").read_bytes()),
        pytest.raises(UserError, match=r"dvc\.lock: not YAML"),
    ):
        next(verify(Pipeline(project.root)))


def test_a_folders_hash_is_dvcs(project):
    lock = Pipeline(project.root).lock()
    for folder in ("models/gan_l1", "models/wgan_gp_l2_class", "data/curated", "configs"):
        assert folder_hash(project.root / folder) == out_hash(lock, folder)


def test_only_another_machines_arithmetic_is_excused():
    stored = {"psnr": 20.0, "kid": 0.0, "fid": math.nan, "mae": 0.1}
    assert list(differences("a", stored, {"psnr": 20.0019, "kid": 9e-7, "fid": math.nan, "mae": 0.1})) == []
    assert list(differences("a", stored, {"psnr": 20.0021, "kid": 2e-6, "fid": 1.0})) == [
        "a: psnr: 20.0 stored, 20.0021 measured",
        "a: kid: 0.0 stored, 2e-06 measured",
        "a: fid: nan stored, 1.0 measured",
        "a: mae: 0.1 stored, nothing measured",
    ]
