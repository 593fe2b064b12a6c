"""The CI workflow: its own commands, taken from the file and run as GitHub does, on a tiny project's pull requests."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml
from conftest import CHECKOUT, Project, write_tolerances

from tintype.project.pipeline import Pipeline, out_hash

WORKFLOW = yaml.safe_load((CHECKOUT / ".github/workflows/ci.yml").read_text())
JOBS = WORKFLOW["jobs"]
GH = """#!/bin/bash
# Stands for GitHub's command: keeps its words, and the file that it was to send.
here=$(dirname "$0")
echo "$*" >> "$here/gh.log"
[ "$1 $2" != "pr list" ] || cat "$here/open" 2>/dev/null || true
while [ $# -gt 0 ]; do [ "$1" != --body-file ] || cp "$2" "$here/comment.md"; shift; done
"""


class Run:
    """A run of the workflow for pull request `number` of the repository at `origin`.

    `Install` is skipped, as this environment has all; every other command runs, in a checkout of its own for each job.
    Of the actions, `uses`, this knows what they do for the commands: checkout, caches, artifacts.

    Args:
        folder: for its checkouts, its artifacts, and what `gh` was told.
        fork: the pull request's branch is in another repository: no secrets, no token that may write.
        secret: DVC_CONFIG_LOCAL.
        cache: what actions/cache restores.
    """

    def __init__(
        self, folder: Path, origin: Path, number: int, *, fork=False, secret="", cache: Path | None = None
    ) -> None:
        self.folder, self.origin, self.number, self.cache = folder, origin, number, cache
        self.log = ""
        for name in ("bin", "artifacts"):
            (folder / name).mkdir()
        (folder / "bin/gh").write_text(GH)
        (folder / "bin/gh").chmod(0o755)
        self.head = _git(origin, "rev-parse", f"refs/pull/{number}/head")
        same_repository = "github.event.pull_request.head.repo.full_name == github.repository"
        # Every expression there is. Another one is a KeyError: its value is to be thought about.
        self.values = {
            "github.event.pull_request.number": number,
            "github.event.pull_request.head.sha": self.head,
            "github.token": "" if fork else "token",
            "secrets.DVC_CONFIG_LOCAL": "" if fork else secret,
            "hashFiles('dvc.lock')": "of-the-lock",
            "github.event_name == 'pull_request'": True,
            "!cancelled()": True,
            f"!cancelled() && github.event_name == 'pull_request' && {same_repository}": not fork,
        }

    def job(self, name: str) -> list[str]:
        """Run a job's steps, or nothing if its condition says so. Returns the names of those that failed."""
        failed: list[str] = []
        if "if" in JOBS[name] and not self.value(JOBS[name]["if"]):
            return failed
        for step in JOBS[name]["steps"]:
            ignores_failure = re.search(r"(always|cancelled|failure)\(\)", step.get("if", ""))
            if (failed and not ignores_failure) or ("if" in step and not self.value(step["if"])):
                continue
            if "uses" in step:
                inputs = {key: self.text(value) for key, value in step.get("with", {}).items()}
                self.action(step["uses"].partition("@")[0], inputs, self.folder / name)
            elif step["name"] != "Install" and self.step(name, step["name"]) != 0:
                failed.append(step["name"])
        return failed

    def step(self, job: str, name: str) -> int:
        """Run a step's commands in the job's checkout. Returns their exit status."""
        step = next(step for step in JOBS[job]["steps"] if step.get("name") == name)
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        given = {**WORKFLOW["env"], **JOBS[job].get("env", {}), **step.get("env", {})}
        env = {
            **os.environ,
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "GIT_CONFIG_GLOBAL": os.devnull,  # a runner's git knows no user
            "GITHUB_ACTIONS": "true",
            "GITHUB_BASE_REF": "main",
            "GITHUB_REF_NAME": f"{self.number}/merge",
            "GITHUB_REPOSITORY": "someone/tintype",
            "GITHUB_RUN_ID": "1234",
            "GITHUB_SERVER_URL": "https://github.com",
            **{f"GITHUB_{file}": str(self.folder / file) for file in ("ENV", "OUTPUT", "PATH", "STEP_SUMMARY")},
            **{key: self.text(value) for key, value in given.items()},
        }
        env.pop("PYTHONPATH", None)
        bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        done = subprocess.run(
            bash,
            cwd=self.folder / job,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
            check=False,
        )
        self.log += f"== {job}: {name}: exit {done.returncode}\n{done.stdout}\n"
        return done.returncode

    def action(self, name: str, inputs: dict[str, str], checkout: Path) -> None:
        """What an action does for the commands around it."""
        artifact = self.folder / "artifacts" / inputs.get("name", "")
        if name == "actions/checkout":
            depth = [] if inputs.get("fetch-depth") == "0" else ["--depth", "1"]
            _git(self.folder, "clone", "-q", "--no-checkout", *depth, self.origin.as_uri(), str(checkout))
            _git(checkout, "fetch", "-q", *depth, "origin", f"refs/pull/{self.number}/merge")
            _git(checkout, "checkout", "-q", "--detach", "FETCH_HEAD")
        elif name == "actions/cache/restore":
            if self.cache is not None:
                shutil.copytree(self.cache, checkout / inputs["path"])
        elif name == "actions/cache/save":
            assert (checkout / inputs["path"]).is_dir()
        elif name == "actions/upload-artifact":
            for path in inputs["path"].split():
                found, target = checkout / path, artifact / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(found, target) if found.is_dir() else shutil.copy(found, target)
        elif name == "actions/download-artifact":
            shutil.copytree(artifact, checkout / inputs["path"])
        else:
            assert name == "actions/setup-python"

    def value(self, expression: str):
        """Of an expression, with or without its ${{ }}."""
        inner = re.fullmatch(r"\$\{\{(.*)\}\}", expression.strip(), re.DOTALL)
        return self.values[" ".join((inner[1] if inner else expression).split())]

    def text(self, template) -> str:
        """With every ${{ }} replaced."""
        return re.sub(r"\$\{\{.*?\}\}", lambda found: str(self.value(found[0])), str(template))

    def read(self, path: str) -> str:
        """One of the run's files; empty where there is none."""
        return (self.folder / path).read_text() if (self.folder / path).exists() else ""

    def stages(self) -> set[str]:
        """The stages that DVC ran."""
        return set(re.findall(r"Running stage '(.*)'", self.log))


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


class Repository:
    """A repository on GitHub, and its pull requests."""

    def __init__(self, folder: Path, project: Project) -> None:
        self.origin, self.author = folder / "origin.git", Project(folder / "author")
        _git(folder, "init", "-q", "--bare", "-b", "main", str(self.origin))
        _git(folder, "clone", "-q", str(project.root), str(self.author.root))
        _git(self.author.root, "remote", "set-url", "origin", str(self.origin))
        write_tolerances(self.author, Pipeline(project.root).metrics(), relative=0.1)
        self.author.commit("tolerances")
        _git(self.author.root, "tag", "base")
        # After the pull requests below branched off, main gets metrics that are far better: not theirs to reach.
        file = self.author.root / "metrics/gan_l1.json"
        file.write_text(re.sub(r'("psnr"): [0-9.]+', r"\1: 60.0", file.read_text()))
        self.author.commit("main goes on")
        _git(self.author.root, "push", "-q", "origin", "HEAD:main")

    def pull_request(self, number: int, change) -> int:
        """Open one, or push to it again: `change` on the base, and GitHub's merge of the two."""
        root = self.author.root
        _git(root, "checkout", "-q", "--detach", "base")
        change(self.author)
        self.author.commit("change")
        _git(root, "push", "-q", "--force", "origin", f"HEAD:refs/pull/{number}/head")
        head = _git(root, "rev-parse", "HEAD")
        _git(root, "checkout", "-q", "--detach", "base")
        _git(root, "-c", "user.name=t", "-c", "user.email=t@example.org", "merge", "-q", "--no-ff", "-m", "merge", head)
        _git(root, "push", "-q", "--force", "origin", f"HEAD:refs/pull/{number}/merge")
        return number


@pytest.fixture(scope="module")
def repository(finished_project, tmp_path_factory) -> Repository:
    return Repository(tmp_path_factory.mktemp("github"), finished_project)


@pytest.fixture
def remote(finished_project) -> str:
    """DVC_CONFIG_LOCAL, naming a remote that has all results of the project: its cache has a remote's layout."""
    return f"[core]\n    remote = store\n['remote \"store\"']\n    url = {finished_project.root / '.dvc/cache'}\n"


def document(project: Project, text: str = "Colors!") -> None:
    (project.root / "README.md").write_text(text)


def raise_the_learning_rate(project: Project) -> None:
    project.change_params({"training": {"phases": [{"train": "adversarial", "epochs": 1, "lr": 1.0}]}})


def misspell(project: Project) -> None:
    project.change_params({"loss": {"l1_wieght": 50.0}})


def run_elsewhere(project: Project) -> None:
    """As `dvc repro` on another machine leaves the lock: with results that no remote and no cache has."""
    lock = project.root / "dvc.lock"
    text = lock.read_text()
    for path in ("models/gan_l1", "curves/gan_l1.csv", "samples/gan_l1.png"):
        here = out_hash(Pipeline(project.root).lock(), path)
        text = text.replace(here, "0123456789abcdef" * 2 + here[32:])
    lock.write_text(text)


def test_a_regression_fails_the_job_and_the_comment_names_it(repository, remote, tmp_path):
    run = Run(tmp_path, repository.origin, repository.pull_request(1, raise_the_learning_rate), secret=remote)
    assert run.job("project") == ["Gate"], run.log
    # The rest came from the remote, and of it no more than was needed.
    assert run.stages() == {"configure", "train@gan_l1", "evaluate@gan_l1", "report"}
    assert not (tmp_path / "project/data/raw").exists()

    assert run.job("comment") == [], run.log
    comment = run.read("bin/comment.md")
    base = _git(repository.author.root, "rev-parse", "base")
    assert comment.startswith(f"### ❌ gate closed against {base[:12]}: ")
    assert re.search(r"\| `gan_l1` \| ciede2000 \| \d+\.\d\d \| \d+\.\d\d \| \+\d.*\| worse \|", comment)
    assert run.read("bin/gh.log") == "pr comment 1 --edit-last --create-if-none --body-file comment.md\n"


def test_a_harmless_change_passes_and_the_comment_shows_table_and_grids(finished_project, repository, tmp_path):
    run = Run(
        tmp_path, repository.origin, repository.pull_request(2, document), cache=finished_project.root / ".dvc/cache"
    )
    assert run.job("project") == [], run.log
    assert run.stages() == set()

    for _ in range(2):  # a second time, as for a second push, but for the commit
        assert run.job("comment") == [], run.log
        shutil.rmtree(tmp_path / "comment")
    comment = run.read("bin/comment.md")
    assert comment.startswith("### ✅ gate passed against ")
    assert (finished_project.root / "report/table.md").read_text().strip() in comment
    rows = ("gan_l1", "gray", "mean_ab", "wgan_gp_l2_class")
    links = re.findall(r"!\[(.*)\]\(https://github.com/someone/tintype/raw/ci-samples/(.*)\)", comment)
    assert links == [(row, f"2/{run.head}/{row}.png") for row in rows]
    for row, path in links:
        shown = _git(repository.origin, "rev-parse", f"ci-samples:{path}")
        assert shown == _git(repository.origin, "hash-object", str(finished_project.root / f"samples/{row}.png"))
    assert _git(repository.origin, "rev-list", "--count", "ci-samples") == "1"


def test_a_forks_pull_request_runs_without_secrets(finished_project, repository, tmp_path):
    def from_a_fork(project: Project) -> None:
        run_elsewhere(project)
        # A remote that this environment has no client for, nor credentials.
        project.run("dvc", "remote", "add", "--default", "store", "hdfs://nowhere.invalid/project")

    number = repository.pull_request(3, from_a_fork)
    run = Run(tmp_path, repository.origin, number, fork=True, cache=finished_project.root / ".dvc/cache")
    assert run.job("project") == [], run.log
    assert run.stages() == {"report"}  # whose small result DVC never caches
    assert run.job("comment") == []
    assert run.read("bin/gh.log") == ""
    summary = run.read("STEP_SUMMARY")
    assert "gate passed" in summary
    assert (finished_project.root / "report/table.md").read_text().strip() in summary
    assert "artifact `project`" in summary
    assert (tmp_path / "artifacts/project/samples/gan_l1.png").exists()


@pytest.mark.slow
def test_a_fork_that_has_nothing_makes_everything(repository, tmp_path):
    run = Run(tmp_path, repository.origin, repository.pull_request(4, document), fork=True)
    assert run.job("project") == [], run.log
    assert {"download", "features", "train@gan_l1", "evaluate@wgan_gp_l2_class", "baselines", "report"} <= run.stages()
    assert "gate passed" in run.read("STEP_SUMMARY")


@pytest.mark.slow
def test_results_that_were_not_pushed_are_made_again(repository, remote, tmp_path):
    run = Run(tmp_path, repository.origin, repository.pull_request(5, run_elsewhere), secret=remote)
    assert run.job("project") == [], run.log
    assert {"train@gan_l1"} <= run.stages() <= {"train@gan_l1", "evaluate@gan_l1", "report"}


def test_a_project_that_does_not_run_fails_and_the_comment_says_why(finished_project, repository, tmp_path):
    run = Run(
        tmp_path, repository.origin, repository.pull_request(6, misspell), cache=finished_project.root / ".dvc/cache"
    )
    assert run.job("project") == ["Repro", "Gate"], run.log
    assert run.job("comment") == [], run.log
    comment = run.read("bin/comment.md")
    assert comment.startswith("### ❌ the gate cannot compare\n")
    assert "error: loss.l1_wieght: unknown key" in comment


def test_grids_of_other_pull_requests_stay(repository, tmp_path):
    """Each has its folder on the branch, with those of its last commit alone."""
    folders = []
    for number, name in ((7, "first"), (8, "first"), (7, "second")):
        folder = tmp_path / f"{number}-{name}"
        folder.mkdir()
        run = Run(folder, repository.origin, repository.pull_request(number, partial(document, text=name)))
        run.action("actions/checkout", {}, folder / "comment")
        (folder / "comment/project/samples").mkdir(parents=True)
        (folder / "comment/project/samples/row.png").write_text(name)
        assert run.step("comment", "Samples") == 0, run.log
        folders.append(f"{number}/{run.head}/row.png")
    shown = _git(repository.origin, "ls-tree", "-r", "--name-only", "ci-samples").splitlines()
    assert set(folders[1:]) <= set(shown)
    assert len([path for path in shown if path.startswith(("7/", "8/"))]) == 2
    assert _git(repository.origin, "show", f"ci-samples:{folders[2]}") == "second"


def test_new_tolerances_become_one_pull_request(repository, tmp_path):
    run = Run(tmp_path, repository.origin, repository.pull_request(9, document))
    checkout = tmp_path / "recalibrate"
    run.action("actions/checkout", {"fetch-depth": "0"}, checkout)
    assert run.step("recalibrate", "Propose") == 0
    assert run.read("bin/gh.log") == ""  # nothing new, nothing to propose

    (checkout / "report/spread.csv").write_text("row,seed,psnr\n")
    assert run.step("recalibrate", "Propose") == 0, run.log
    assert run.read("bin/gh.log").splitlines()[-1].startswith("pr create --base 9/merge --head recalibrate --title ")
    changed = _git(repository.origin, "show", "--format=", "--name-only", "recalibrate")
    assert changed == "report/spread.csv"

    (tmp_path / "bin/open").write_text("12\n")
    (checkout / "report/spread.csv").write_text("row,seed,psnr,ssim\n")
    assert run.step("recalibrate", "Propose") == 0, run.log
    assert run.read("bin/gh.log").splitlines()[-1].startswith("pr list ")
    assert _git(repository.origin, "show", "recalibrate:report/spread.csv") == "row,seed,psnr,ssim"


def test_code_of_a_pull_request_never_runs_beside_a_token_that_may_write():
    triggers = WORKFLOW[True]  # YAML 1.1 takes `on` for a boolean
    assert set(triggers) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert [name for name, job in JOBS.items() if "permissions" in job] == ["comment", "recalibrate"]
    assert JOBS["project"]["steps"][0]["with"]["persist-credentials"] is False
    for name, job in JOBS.items():
        assert "timeout-minutes" in job, name
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[a-z/-]+@v\d+", step.get("uses", "actions/none@v1"))
            assert "${{" not in step.get("run", ""), "what a pull request names must not become a command"
