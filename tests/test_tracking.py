"""The registry's rules, on a real sqlite store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tintype.config import Generator
from tintype.models import build_generator, save_generator
from tintype.tracking import Tracker

TINY = Generator(filters=2, depth=3)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return Tracker(home, home)


@pytest.fixture(scope="module")
def register(tracker, tmp_path_factory):
    """Registers the weights of a seed with a score, as the stage does."""

    def call(seed, score, *, split="s1", experiment=None, rescored=None):
        folder = tmp_path_factory.mktemp("models") / "row"
        torch.manual_seed(seed)
        save_generator(folder, build_generator(TINY, 0, 16), config=TINY, classes=[], image_size=16)

        def rescore(weights: Path) -> float:
            assert (weights / "generator.safetensors").is_file()
            assert rescored is not None, "the champion's figure was comparable: no need to measure it again"
            return rescored

        return tracker.register(
            model_name="m",
            row="row",
            weights=folder,
            metric="ciede2000",
            direction="min",
            metrics={"ciede2000": score},
            test_split=split,
            rescore=rescore,
            experiment=experiment,
        )

    return call


def test_champion_moves_only_when_a_model_is_better_and_never_from_an_experiment(register, tracker):
    def champion():
        return int(tracker.client.get_model_version_by_alias("m", "champion").version)

    assert register(1, 10.0)["alias"] == "champion"
    assert register(2, 11.0)["alias"] == "challenger"
    assert champion() == 1
    assert register(3, 9.0, experiment="bold-try")["alias"] == "challenger"
    assert champion() == 1
    # The same weights again, no experiment: no new version, but now they may become champion.
    again = register(3, 9.0)
    assert (again["version"], again["alias"]) == (3, "champion")
    assert register(3, 9.0)["alias"] == "champion"
    assert len(tracker.client.search_model_versions("name = 'm'")) == 3
    # On another test split the champion's old 9.0 says nothing: it is measured again.
    assert register(4, 20.0, split="s2", rescored=19.0)["alias"] == "challenger"
    assert register(5, 20.0, split="s2", rescored=21.0)["alias"] == "champion"
    assert champion() == 5


def test_an_empty_store_survives_three_processes_at_once(tmp_path):
    code = "import sys, pathlib, tintype.tracking as t; home = pathlib.Path(sys.argv[1]); t.Tracker(home, home)"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, env=dict(os.environ))
        for _ in range(3)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-2000:]


def test_an_experiment_deleted_by_hand_comes_back(tracker):
    tracker.client.delete_experiment(tracker.experiment)
    again = Tracker(tracker.lab, tracker.home)
    assert again.client.get_experiment(again.experiment).lifecycle_stage == "active"


def test_a_run_knows_the_commit_that_was_trained_and_the_one_that_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")  # a Tracker of before has set it

    def git(*words):
        done = subprocess.run(["git", *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def written(file, text):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)

    def committed():
        git("add", "src", "notes.md", "samples.png")
        git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "x")
        return git("rev-parse", "HEAD")

    def measured(weights="w"):
        tracker = Tracker(tmp_path, tmp_path)
        written(f"{weights}/generator.safetensors", weights)
        run = tracker.log_evaluation(tmp_path / weights, {"psnr": 20.0}, tmp_path / "samples.png")
        return tracker.client.get_run(run)

    git("init", "-q")
    for file in ("src/metrics.py", "notes.md", "samples.png"):
        written(file, "")
    assert measured("v").data.tags["git_commit"] == "none"

    first = committed()
    written("notes.md", "notes change no run")
    of_first = measured()
    assert (of_first.data.tags["git_commit"], of_first.data.tags["git_dirty"]) == (first, "false")
    written("src/metrics.py", "pass")
    assert measured().data.tags["test_git_dirty"] == "true"
    second = committed()
    run = measured()
    assert (run.data.tags["test_git_commit"], run.data.tags["test_git_dirty"]) == (second, "false")
    assert (run.data.tags["git_commit"], run.data.tags["git_dirty"]) == (first, "false")
    assert run.info.run_id == of_first.info.run_id
