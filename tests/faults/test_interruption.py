"""A training that is asked to stop keeps every step; a stage ends at a signal, and with the DVC that runs it."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CHECKOUT
from PIL import Image

from tintype.config import Discriminator, Generator, Loss, Phase, Preprocess, Row, Training
from tintype.data.cache import LabSplit
from tintype.data.cache_builder import build_cache
from tintype.data.curation import write_table
from tintype.files import sha256_of, write_sums
from tintype.training import Stopped, fit


class Cache:
    """As `LabCache`, of made-up codes: 18 photos to train on, 5 to validate."""

    image_size, classes, digest = 32, ["a", "b"], "made up"

    def split(self, name):
        count = {"train": 18, "validation": 5}[name]
        rng = np.random.default_rng(count)
        codes = np.stack(
            [rng.integers(low, high, (count, 32, 32)) for low, high in ((0, 30000), *[(-9000, 9000)] * 2)], 1
        )
        return LabSplit(codes.astype(np.int16), np.arange(count) % 2, [str(i) for i in range(count)], ["a", "b"])


def row(*phases, loss=None, norm="batch", spectral=False, **training) -> Row:
    return Row(
        name="tiny",
        generator=Generator(filters=4, depth=4, dropout=0.5),
        discriminator=Discriminator(filters=4, layers=2, norm=norm, spectral_norm=spectral),
        loss=loss or Loss(),
        training=Training(**{"batch_size": 4, "ema_decay": 0.9, "phases": phases, **training}),
    )


WGAN = Loss(adversarial="wgan_gp", adversarial_weight=0.1, l1_weight=0.0, l2_weight=1.0, class_weight=0.003)
ROWS = {
    "two phases": row(
        Phase(train="generator", epochs=1, lr=1e-3),
        Phase(train="adversarial", epochs=2, lr=1e-3, schedule="cosine", discriminator_steps=3),
        loss=WGAN,
        norm="none",
    ),
    "augmented": row(
        Phase(train="adversarial", epochs=1, lr=1e-3, image_size=16),
        Phase(train="adversarial", epochs=1, lr=1e-3, weight_decay=1e-4),
        spectral=True,
        crop_scale=0.5,
        degradation_probability=0.5,
    ),
}


def asked_after(calls: int):
    """A function that says True from its `calls`-th call on."""
    left = iter([False] * calls)
    return lambda: next(left, True)


@pytest.mark.parametrize("name", ROWS)
def test_stopped_after_any_step_it_ends_with_the_same_weights(name, tmp_path, capsys):
    unbroken = fit(ROWS[name], Cache(), checkpoint=tmp_path / "unbroken.pt", device="cpu")
    checkpoint, resumed, stops = tmp_path / "stopped.pt", None, 0
    while resumed is None:
        torch.manual_seed(stops)  # of another process
        try:
            resumed = fit(ROWS[name], Cache(), checkpoint=checkpoint, device="cpu", stop=asked_after(stops % 3))
        except Stopped:
            stops += 1
    assert stops > 4
    said = capsys.readouterr().err
    assert (
        f"tiny: stopped after 1 steps of epoch 1 of {len(resumed.curves)}; the last good checkpoint is {checkpoint}"
        in said
    )
    assert f"tiny: resumed after 1 steps of epoch 1 of {len(resumed.curves)} ({checkpoint})" in said
    assert resumed.curves == unbroken.curves
    pairs = zip(resumed.generator.state_dict().items(), unbroken.generator.state_dict().values(), strict=True)
    for (key, a), b in pairs:
        assert torch.equal(a, b), key


STAGE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {stages!r})
from _stage import run

def stage(alive):
    try:
        while True:
            alive.write_text(str(time.time()))
            time.sleep(0.02)
    finally:
        alive.with_suffix(".ended").write_text("")

run(stage)
"""
RUNNER = """
import os, subprocess, sys
subprocess.Popen([sys.argv[1], "-c", sys.argv[2]], env={**os.environ, "DVC_STAGE": "train@row"}).communicate()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "stage.py").write_text(STAGE.format(stages=str(CHECKOUT / "stages")))
    return tmp_path / "stage.py"


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up, "nothing happened"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_stage_like_an_exception(script, tmp_path, number):
    alive = tmp_path / "alive"
    stage = subprocess.Popen([sys.executable, script, alive])
    wait_for(alive.exists)
    stage.send_signal(number)
    assert stage.wait(timeout=10) == 128 + number
    assert alive.with_suffix(".ended").exists()


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("command", ["{}", "true; {}; true"], ids=["in the shell's place", "below the shell"])
def test_a_stage_ends_with_what_runs_it(script, tmp_path, shell, command):
    """The runner starts the stage as DVC does, and is killed in a way that it cannot pass on."""
    alive = tmp_path / "alive"
    command = command.format(shlex.join([sys.executable, str(script), str(alive)]))
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, shell, command])
    wait_for(alive.exists)
    time.sleep(0.3)
    assert not alive.with_suffix(".ended").exists()
    runner.kill()
    wait_for(alive.with_suffix(".ended").exists, seconds=5)


def test_a_stage_that_is_stuck_ends_all_the_same(tmp_path):
    code = f"""
import sys, time
sys.path.insert(0, {str(CHECKOUT / "stages")!r})
import _ending
_ending.GRACE = 0.5
_ending.heed_signals()
while True:
    try:
        print("started", flush=True)
        time.sleep(60)
    except BaseException:
        pass
"""
    stage = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert stage.stdout is not None
    assert stage.stdout.readline() == "started\n"
    stage.terminate()
    assert stage.wait(timeout=20) == -signal.SIGKILL


@pytest.mark.slow  # MLflow makes a store
def test_a_training_ends_with_its_dvc_and_keeps_its_steps(tmp_path):
    """The runner dies; the training writes a checkpoint and no weights. The next one goes on, until Ctrl-C."""
    (tmp_path / "raw/photos").mkdir(parents=True)
    rows = []
    for i in range(20):
        coarse = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32)).save(path := tmp_path / f"raw/photos/{i}.png")
        rows.append((path.name, "", "train" if i < 16 else "validation", sha256_of(path)))
    write_table(tmp_path / "manifest.csv", ("path", "class", "split", "sha256"), rows)
    build_cache(tmp_path / "raw", tmp_path / "manifest.csv", Preprocess(image_size=32), 10**6, tmp_path / "lab")
    (tmp_path / "params.yaml").write_text("repo: .\n")
    (tmp_path / "configs").mkdir()
    config = row(Phase(train="adversarial", epochs=10**6, lr=1e-3)).model_dump_json()
    (tmp_path / "configs/tiny.json").write_text(config)
    write_sums(tmp_path / "configs")

    words = [
        sys.executable,
        str(CHECKOUT / "stages/train.py"),
        "configs/tiny.json",
        "lab",
        "features",
        "model",
        "c.csv",
    ]
    environment = {**os.environ, "DVC_ROOT": str(tmp_path)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, "/bin/sh", f"{shlex.join(words)} 2>log; touch ended"],
        cwd=tmp_path,
        env=environment,
    )
    trains = lambda: any((tmp_path / "mlartifacts").rglob("*.png"))  # noqa: E731 - after an epoch
    wait_for(trains, seconds=300)
    runner.kill()
    wait_for((tmp_path / "ended").exists, seconds=10)
    said = (tmp_path / "log").read_text()
    assert "dvc has ended" in said
    assert "tiny: stopped after" in said
    assert not (tmp_path / "model").exists()
    (checkpoint,) = (tmp_path / ".tintype/checkpoints").glob("*.pt")
    assert str(checkpoint) in said

    again = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert again.stderr is not None
    line = ""
    while "resumed after" not in line:
        line = again.stderr.readline()
        assert line
    start = time.monotonic()
    again.send_signal(signal.SIGINT)
    _, said = again.communicate(timeout=20)
    assert time.monotonic() - start < 10
    assert again.returncode == 130
    assert "tiny: stopped after" in said
    assert not (tmp_path / "model").exists()
