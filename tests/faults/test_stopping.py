"""A server that is told to stop, under load."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from running_server import CAT, coded, pixels_of, servers_on_hold, until

from tintype.serving import server as uvicorn_server

TESTS = Path(__file__).resolve().parents[1]
IN_A_PROCESS = """
from running_server import Held
from tintype import Colorizer
from tintype.inference.model_names import FoundModel
from tintype.serving.app import create_app
from tintype.serving.limits import Limits
from tintype.serving.server import address_of, listen, server
limits = Limits()
app = create_app(Colorizer(Held()), FoundModel("held", "held", {}), limits)
with listen("127.0.0.1", 0) as listening:
    print(address_of(listening), flush=True)
    server(app, limits).run([listening])
"""


def test_requests_without_time_left_are_told_to_come_back(monkeypatch):
    monkeypatch.setattr(uvicorn_server, "GRACE", 1)
    with servers_on_hold() as start:
        running, pool = start(patience=30)
        working = [pool.submit(running.post, coded(CAT)) for _ in range(5)]
        until(lambda: running.value("tintype_step_seconds_count", step="decode") == 5)
        with running.connected() as connection:  # in the middle of its upload
            connection.sendall(
                b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
            )
            until(lambda: running.value("tintype_photos") == 6)
            running.uvicorn.should_exit = True
            answers = [one.result() for one in working]
            assert connection.recv(10_000).startswith(b"HTTP/1.1 503 ")
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["error"]["code"] for answer in answers} == {"stopping"}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        assert all(answer.headers["x-content-type-options"] == "nosniff" for answer in answers)


def test_what_runs_is_finished_though_more_photos_wait():
    with servers_on_hold() as start:
        running, pool = start()
        answers = [pool.submit(running.post, coded(CAT)) for _ in range(8)]
        until(lambda: running.value("tintype_photos") == 8)
        running.uvicorn.should_exit = True
        time.sleep(0.3)
        running.backend.let.set()
        assert [pixels_of(answer.result()).shape for answer in answers] == [(*CAT.shape, 3)] * 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_server_at_once(number):
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [sys.executable, "-c", IN_A_PROCESS], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().strip()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(httpx.post, f"{url}/api/colorize", files={"photo": coded(CAT)}, timeout=60)
            until(lambda: "tintype_photos 1.0" in httpx.get(f"{url}/metrics").text)
            process.send_signal(number)
            with pytest.raises(subprocess.TimeoutExpired):  # the photo runs
                process.wait(1)
            begun = time.monotonic()
            process.send_signal(number)
            assert process.wait(10) == -number
            assert time.monotonic() - begun < 3


def test_300_requests_at_once_lose_none():
    """Each is answered, and whoever comes back as told gets the photo."""
    photo, statuses = coded(CAT[:40, :40]), []
    with servers_on_hold() as start, httpx.Client(verify=False, timeout=60, limits=httpx.Limits()) as session:
        running, _ = start(queue=16)
        running.backend.let.set()

        def client(_: int) -> None:
            while True:
                answer = session.post(f"{running.http.base_url}/api/colorize", files={"photo": photo})
                statuses.append(answer.status_code)
                if answer.status_code == 200:
                    assert pixels_of(answer).shape == (40, 40, 3)
                    return
                assert answer.status_code in (429, 503)
                time.sleep(float(answer.headers["retry-after"]))

        with ThreadPoolExecutor(300) as clients:
            list(clients.map(client, range(300)))
        assert statuses.count(200) == 300
        assert {429, 503} & set(statuses)
        assert running.value("tintype_photos") == 0
