"""MLflow that is dead, dies, comes back or is locked: one line at the start, later no stop, no loss, no duplicate."""

import http.server
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import numpy as np
import pytest
from conftest import CHECKOUT
from mlflow import MlflowClient

from tintype.config import load_project
from tintype.errors import UserError, redacted
from tintype.files import write_sums
from tintype.tracking import sync as sending
from tintype.tracking.runs import Tracker
from tintype.tracking.server import check_store
from tintype.tracking.spool import Spool
from tintype.tracking.sync import sync


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def answers(status):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_error(status)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def accepts_and_is_silent():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@contextmanager
def closed():
    yield free_port()


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (closed(), "Connection refused"),
        (accepts_and_is_silent(), "no answer within 5 s"),
        (answers(500), "answers 500 Internal Server Error"),
        (answers(403), "answers 403 Forbidden"),
    ],
    ids=["closed port", "silent", "500", "403"],
)
def test_a_dead_server_is_one_line_within_seconds(server, why, tmp_path, monkeypatch):
    with server as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://anne:s3cret@127.0.0.1:{port}")
        start = time.monotonic()
        with pytest.raises(UserError, match=f"^MLflow at http://127.0.0.1:{port}: .*{why}; start it, or") as told:
            Tracker(tmp_path, tmp_path)
        assert time.monotonic() - start < 10
    assert "s3cret" not in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "mlflow.db.lock").exists()  # no one waits for this process


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://no-such-host.invalid:5000", "no-such-host.invalid"),
        ("postgresql://anne:s3cret@127.0.0.1:{port}/mlflow", "Connection refused|not installed"),
    ],
)
def test_an_unknown_host_and_a_dead_database_are_one_line(uri, why):
    with pytest.raises(UserError, match=why) as told:
        check_store(uri.format(port=free_port()))
    assert "s3cret" not in str(told.value)


def test_a_uri_is_shown_without_credentials():
    assert redacted("https://anne:p%40ss@mlflow.example.org/a") == "https://mlflow.example.org/a"
    assert redacted("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def tracker(home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.setattr(sending, "LAST_SECONDS", 1)
    return Tracker(home, home)


ROW = load_project(CHECKOUT / "params.yaml").rows_resolved()["gan_l1"]


@contextmanager
def unreachable(monkeypatch):
    """MLflow's answer while its server is away, for tests that need no real one."""

    def refuse(*_):
        raise ConnectionError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(sending, "send", refuse)
        yield


def train(tracker, epochs=3):
    """Log as a training does. Returns the run's ID and the longest time that an epoch waited."""
    waited = []
    with tracker.training_run(ROW, "key", tracker.home, "digest") as run:
        for epoch in range(1, epochs + 1):
            start = time.monotonic()
            panel = np.full((4, 4, 3), epoch, np.uint8)
            run.log_epoch(
                {"epoch": epoch, "phase": "p", "loss": 1 / epoch}, {"seconds": 0.5}, lambda image=panel: image
            )
            waited.append(time.monotonic() - start)
        run.finish("weights")
    return run.run_id, max(waited)


def check_arrived(client, run_id, epochs=3):
    """The store has each epoch once, the image of each, the tags and the end."""
    for name, values in {"loss": [1 / epoch for epoch in range(1, epochs + 1)], "seconds": [0.5] * epochs}.items():
        points = sorted(client.get_metric_history(run_id, name), key=lambda point: point.step)
        assert [(point.step, point.value) for point in points] == list(enumerate(values, start=1))
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["weights_sha256"]) == ("FINISHED", "weights")
    images = [file.path for file in client.list_artifacts(run_id, "images")]
    assert len(images) == 2 * epochs  # each with its thumbnail
    assert len([path for path in images if path.endswith(".png")]) == epochs


def spool_of(tracker, run_id):
    return tracker.project / ".tintype/spool" / run_id


def test_with_a_living_store_nothing_stays_behind(tracker):
    run_id, _ = train(tracker)
    check_arrived(tracker.client, run_id)
    assert list((tracker.project / ".tintype/spool").iterdir()) == []


def test_an_outage_loses_nothing_and_the_next_stage_sends_it_once(tracker, monkeypatch, capsys):
    with unreachable(monkeypatch):
        run_id, _ = train(tracker)
        assert run_id in sync(tracker.uri, tracker.project).failed
    assert "`tintype sync`" in capsys.readouterr().err
    calls = spool_of(tracker, run_id) / "calls.jsonl"
    with calls.open("ab") as file:  # a process killed while it wrote
        file.write(calls.read_bytes()[:100])
    Tracker(tracker.project, tracker.home)
    check_arrived(tracker.client, run_id)
    assert not spool_of(tracker, run_id).exists()
    assert sync(tracker.uri, tracker.project).sent == []


class Killed(BaseException):
    pass


@pytest.mark.parametrize("when", ["before a call is noted", "after it is noted", "before all is removed"])
def test_a_kill_during_sync_loses_and_doubles_nothing(tracker, monkeypatch, when):
    """The process dies once per call, each time at the worst moment."""
    arrived = Spool.arrived

    def dies(spool, call, position):
        if when == "after it is noted":
            arrived(spool, call, position)
        raise Killed

    def half_removed(spool):
        spool.mark.unlink()
        raise Killed

    with unreachable(monkeypatch):
        run_id, _ = train(tracker)
    kills = len((spool_of(tracker, run_id) / "calls.jsonl").read_text().splitlines())
    with monkeypatch.context() as patch:
        if when == "before all is removed":
            patch.setattr(Spool, "remove", half_removed)
        else:
            patch.setattr(Spool, "arrived", dies)
        for _ in range(kills):
            with pytest.raises(Killed):
                sync(tracker.uri, tracker.project)
    assert sync(tracker.uri, tracker.project).failed == {}
    check_arrived(tracker.client, run_id)


def test_what_a_running_stage_sends_is_left_to_it(tracker):
    with tracker.training_run(ROW, "key", tracker.home, "digest") as run:
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from pathlib import Path; from tintype.tracking.sync import sync;"
             "print(sync(sys.argv[1], Path(sys.argv[2])).busy)", tracker.uri, str(tracker.project)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout.strip() == str([run.run_id])


def test_a_locked_database_waits_with_a_message(tracker, capfd):
    with closing(sqlite3.connect(tracker.home / "mlflow.db", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(3, other.rollback).start()
        run_id, waited = train(Tracker(tracker.project, tracker.home))
    assert "mlflow.db, which another program has locked" in capfd.readouterr().err
    assert waited < 1
    check_arrived(tracker.client, run_id)


class Server:
    """A real `mlflow server`."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        command = ["-m", "mlflow", "server", "--workers", "1", "--port", str(self.port)]
        stores = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        artifacts = ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, *stores, *artifacts], stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(600):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text()[-3000:])

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)  # its own session: this test's processes alone
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    server.start()
    yield server
    if server.process.poll() is None:
        server.kill()


@pytest.mark.slow
def test_the_server_dies_during_training_and_comes_back(finished_project, server, tmp_path, monkeypatch):
    """The stage `train` of the tiny project, with more epochs: same weights to the bit as without an outage."""
    root = finished_project.root
    config = json.loads((root / "configs/gan_l1.json").read_text())
    config["training"]["phases"][0]["epochs"] = 200
    (tmp_path / "configs").mkdir()
    (row := tmp_path / "configs/gan_l1.json").write_text(json.dumps(config))
    write_sums(tmp_path / "configs")

    def stage(out, uri):
        return subprocess.Popen(
            [sys.executable, str(root / "stages/train.py"), str(row), "data/lab", "data/features",
             str(tmp_path / out), str(tmp_path / f"{out}.csv")],
            cwd=root, env={**os.environ, "MLFLOW_TRACKING_URI": uri}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    calm = stage("calm", f"sqlite:///{tmp_path}/calm.db")
    assert calm.communicate(timeout=300)[1] is not None
    assert calm.returncode == 0
    troubled = stage("troubled", server.uri)
    client = MlflowClient(server.uri)

    def runs():
        found = [experiment.experiment_id for experiment in client.search_experiments()]
        return [run for run in client.search_runs(found) if run.data.metrics.get("val_ciede2000")]

    while not runs():
        assert troubled.poll() is None, troubled.communicate()[1]
        time.sleep(0.1)
    server.kill()
    said = troubled.communicate(timeout=300)[1]
    assert troubled.returncode == 0, said
    assert "tintype sync" in said
    for file in ("generator.safetensors", "generator.json"):
        assert (tmp_path / "troubled" / file).read_bytes() == (tmp_path / "calm" / file).read_bytes()

    again = stage("again", server.uri)  # the server is still away
    assert re.match(
        rf"error: MLflow at {server.uri}: .*Connection refused; start it", again.communicate(timeout=100)[1]
    )
    assert again.returncode == 2

    server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    done = finished_project.run("tintype", "sync")
    assert done.stdout.endswith(f"1 runs sent to MLflow at {server.uri}\n")  # after MLflow's own lines
    (run,) = runs()
    assert run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "val_ciede2000")
    assert sorted(point.step for point in points) == list(range(1, 201))
    assert finished_project.run("tintype", "sync").stdout == f"0 runs sent to MLflow at {server.uri}\n"
