"""Killed at random times in every stage, a project ends with the same bits once it is left alone.

`TINTYPE_KILLS=100 pytest tests/faults/test_kills.py` kills a hundred times.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import TINY, Project, copy_of_checkout

from tintype.files import folder_hash, md5

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("TINTYPE_KILLS", "13"))
STAGES = (
    *("hash_code", "download", "filter", "preprocess", "features", "configure"),
    *("train@gan_l1", "train@wgan_gp_l2_class", "evaluate@gan_l1", "evaluate@wgan_gp_l2_class", "baselines"),
    *("report", "register"),
)
LONGEST = 10.0
"""Seconds from the start of a stage to its kill, at most."""


def outs(project: Project) -> dict[str, str]:
    """The hash of every output, computed from the files. A registration also tells how often there was one."""
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())
    paths = {out["path"] for stage in lock["stages"].values() for out in stage["outs"]} - {"report/registered.json"}
    return {p: folder_hash(f) if (f := project.root / p).is_dir() else md5(f) for p in sorted(paths)}


def repro(project: Project) -> subprocess.Popen[str]:
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env.pop("PYTHONPATH", None)
    return subprocess.Popen(
        ["dvc", "repro"],
        cwd=project.root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_in(project: Project, stage: str, rng: random.Random) -> str | None:
    """Kill everything at a random time after `stage` has started. Return the stage that was killed, if one was."""
    running = repro(project)
    assert running.stdout is not None
    said, started = [], set()
    os.set_blocking(running.stdout.fileno(), False)
    kill_at = time.monotonic() + 600
    while running.poll() is None and time.monotonic() < kill_at:
        if not (line := running.stdout.readline()):
            time.sleep(0.01)
            continue
        said.append(line)
        if found := re.search(r"Running stage '(\S+)'", line):
            started.add(now := found[1])
            if now == stage or (STAGES.index(now) > STAGES.index(stage) and len(started) == 1):
                kill_at = time.monotonic() + rng.uniform(0, LONGEST)
    if running.poll() is not None:
        assert running.returncode == 0, "".join(said)
        return None
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    lock = project.root / ".dvc/tmp/rwlock"  # DVC writes it in place; a kill in between leaves what it cannot read
    with contextlib.suppress(FileNotFoundError):
        try:
            json.loads(lock.read_text())
        except ValueError:
            lock.unlink()
    return now


def test_killed_in_every_stage_it_ends_with_the_same_bits(finished_project, photos, tmp_path):
    seed = int(os.environ.get("TINTYPE_KILLS_SEED", "1"))
    rng = random.Random(seed)
    project = copy_of_checkout(tmp_path / "project")
    (project.root / "gate.yaml").unlink()
    project.change_params({**TINY, "data": {"source": "folder", "origin": str(photos)}})
    project.commit("tiny project")
    killed = []
    for number in range(KILLS):
        killed.append(kill_in(project, STAGES[number * len(STAGES) // KILLS], rng))
        if killed[-1] is None:  # all is done: begin again, somewhere
            victim = rng.choice([path for path in outs(project) if path.split("/")[0] != "metrics"])
            subprocess.run(["rm", "-rf", str(project.root / victim)], check=True)
    print("killed in", killed)
    assert len(set(killed) - {None}) >= min(6, KILLS)
    done = repro(project)
    said, _ = done.communicate(timeout=900)
    assert done.returncode == 0, said
    assert outs(project) == outs(finished_project)
