"""Photos that cost more than they look: their decoding is killed, and the server works on."""

import io
import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest
from PIL import Image
from running_server import CAT, coded, pixels_of, servers_on_hold, until

from tintype.serving.decoding import PIECES, Decoders, TooCostly


@pytest.fixture
def decoders():
    decoders = Decoders(seconds=0.3, memory=500_000_000)
    yield decoders
    decoders.close()
    assert processes() == []


def processes() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "tintype.serving.decoding" in one.cmdline()]


@pytest.mark.parametrize(
    ("work", "arguments"),
    [
        (pow, (7, 10**9)),  # in C, without a look at signals' handlers
        (bytes, (10**9,)),
        (os.abort, ()),
        (os._exit, (0,)),
    ],
)
def test_work_that_costs_too_much_ends_and_further_work_is_done(decoders, work, arguments):
    with pytest.raises(TooCostly):
        decoders.run(work, *arguments)
    assert decoders.run(len, b"four") == 4


def test_results_and_errors_come_back(decoders):
    pixels = np.arange(3_000_000, dtype=np.uint16).reshape(1000, 1000, 3)
    np.testing.assert_array_equal(decoders.run(np.flip, pixels), pixels[::-1, ::-1, ::-1])
    with pytest.raises(ZeroDivisionError):
        decoders.run(divmod, 1, 0)
    assert len(processes()) == 1


def test_a_process_that_somebody_else_ended_is_replaced(decoders):
    first = decoders.run(os.getpid)
    os.kill(first, signal.SIGKILL)
    until(lambda: psutil.Process(first).status() == psutil.STATUS_ZOMBIE)
    assert decoders.run(os.getpid) != first


def test_ctrl_c_and_sigterm_are_the_servers(decoders):
    """A terminal sends SIGINT to a whole process group, systemd SIGTERM to all processes of a service."""
    number = decoders.run(os.getpid)
    assert os.getpgid(number) != os.getpgid(0)
    os.kill(number, signal.SIGTERM)
    assert decoders.run(os.getpid) == number


def test_a_decoder_knows_neither_networks_nor_the_web(decoders):
    loaded = decoders.run(eval, "{name.partition('.')[0] for name in __import__('sys').modules}")
    assert "PIL" in loaded
    assert loaded.isdisjoint({"torch", "onnxruntime", "starlette", "fastapi", "uvicorn", "multipart"})


def costly() -> bytes:
    """A JPEG of 36 megapixels whose 90 scans cost a minute. It has fewer bytes than most."""
    file = io.BytesIO()
    Image.new("L", (6000, 6000), 90).save(file, "JPEG", progressive=True)
    jpeg = file.getvalue()
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + 80 * scan + jpeg[-2:]


def test_a_photo_that_costs_too_much_is_refused_and_nothing_goes_on():
    with servers_on_hold() as start:
        running, pool = start(decoding=1)
        running.backend.let.set()
        answer = pool.submit(running.post, costly())
        assert pixels_of(running.post(coded(CAT))).shape == (*CAT.shape, 3)
        assert answer.result().status_code == 422, answer.result().text
        assert answer.result().json()["error"]["code"] == "too_costly"
        until(lambda: running.value("tintype_photos") == 0)
        before = [one.cpu_times().user for one in processes()]
        time.sleep(0.5)
        assert [one.cpu_times().user for one in processes()] == before


def test_who_leaves_in_the_middle_of_a_costly_photo_leaves_nothing_behind():
    with servers_on_hold() as start:
        running, _ = start(decoding=1, timeout=1.5)
        running.backend.let.set()
        assert running.post(costly()).status_code in (422, 503)
        until(lambda: running.value("tintype_photos") == 0)
        assert running.post(coded(CAT)).status_code == 200
    until(lambda: processes() == [])


def test_a_process_keeps_nothing_for_ever(decoders):
    """Whatever a library caches by what it finds in photos, such as color profiles, goes with its process."""
    numbers = [decoders.run(os.getpid) for _ in range(2 * PIECES + 1)]
    assert [numbers.count(number) for number in dict.fromkeys(numbers)] == [PIECES, PIECES, 1]


def test_memory_is_given_back_between_photos(decoders):
    before = psutil.Process(decoders.run(os.getpid)).memory_info().rss
    decoders.run(np.ones, 50_000_000, np.uint8)
    until(lambda: processes()[0].memory_info().rss < before + 10e6)


def test_threads_have_processes_of_their_own(decoders):
    numbers, both = set(), threading.Barrier(2)

    def ask() -> None:
        both.wait()
        for _ in range(20):
            numbers.add(decoders.run(os.getpid))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(numbers) <= 2
