"""The server: real uvicorn on a free port, real requests."""

import asyncio
import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import numpy as np
import psutil
import pytest
import typer
from PIL import Image
from running_server import CAT, Running, coded, pixels_of, servers_on_hold, until
from skimage import data
from typer.testing import CliRunner

from tintype import Colorizer
from tintype.cli.serve import serve
from tintype.errors import UserError
from tintype.images.encoding import encode_photo
from tintype.inference.hints import Hint
from tintype.serving.batching import Batcher
from tintype.serving.limits import Limits


@pytest.fixture(scope="module")
def colorizer(weights):
    return Colorizer.load(weights)


@pytest.fixture(scope="module")
def running(colorizer):
    one = Running(colorizer, Limits(bytes=4_000_000, pixels=2_000_000, hints=3, patience=1), ("tintype.example",))
    yield one
    one.stop()


@pytest.fixture
def hold():
    with servers_on_hold() as start:
        yield start


# What is asked for


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_photo_comes_back_in_color_in_its_own_size_and_format(running, format):
    answer = running.post(coded(CAT, format))
    assert answer.headers["content-type"] == f"image/{format.lower()}"
    color = pixels_of(answer)
    assert color.shape == (*CAT.shape, 3)
    assert np.ptp(color.astype(int), axis=2).max() > 20
    assert re.fullmatch(
        rf'attachment; filename="color-[0-9a-f]{{8}}\.{format.lower().replace("jpeg", "jpg")[:3]}\w*"',
        answer.headers["content-disposition"],
    )
    assert answer.headers["cache-control"] == "no-store"


def test_the_answer_is_the_librarys(running, colorizer):
    hint = {"x": 0.5, "y": 0.25, "color": "#ff2010"}
    answer = running.post(coded(CAT), hints=json.dumps([hint]))
    np.testing.assert_array_equal(pixels_of(answer), np.asarray(colorizer(Image.fromarray(CAT), hints=[Hint(**hint)])))


def test_options_are_followed(running):
    gray = pixels_of(running.post(coded(CAT), saturation="0")).astype(int)
    assert np.ptp(gray, axis=2).max() <= 1
    assert running.post(coded(CAT), format="webp").headers["content-type"] == "image/webp"
    color = coded(data.chelsea())
    np.testing.assert_array_equal(pixels_of(running.post(color, keep_color="true")), data.chelsea())
    assert (pixels_of(running.post(color)) != data.chelsea()).any()


def test_the_model_and_the_examples_are_told(running):
    model = running.http.get("/api/model").json()
    assert model["name"] == "colorizer 3 (row)"
    assert model["metrics"] == {"psnr": 25.4}
    assert (model["description"], model["limitations"]) == ("", "")  # test_released.py has a model with a card
    assert model["image_size"] == 32
    assert model["limits"] == {
        "bytes": 4_000_000,
        "pixels": 2_000_000,
        "hints": 3,
        "formats": ["jpeg", "png", "webp", "tiff"],
    }
    assert running.http.get("/healthz").json() == {"status": "ok"}
    for example in running.http.get("/api/examples").json():
        assert Image.open(io.BytesIO(running.http.get(example["url"]).content)).mode == "L"
        assert example["name"]
        assert example["credit"]


# What is refused


def png_of(width: int, height: int, *chunks: tuple[bytes, bytes], rows: int | None = None) -> bytes:
    """A sound black PNG of one bit a pixel, that no encoder had to hold; with fewer `rows`, a truncated one."""
    scans = zlib.compress(bytes((height if rows is None else rows) * (1 + (width + 7) // 8)), 9)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", scans), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


def animated(format: str) -> bytes:
    file = io.BytesIO()
    frames = [Image.fromarray(np.full((40, 40), level, np.uint8)) for level in (0, 100, 200)]
    frames[0].save(file, format, save_all=True, append_images=frames[1:])
    return file.getvalue()


JPEG = coded(CAT, "JPEG", progressive=True)
SCAN = JPEG[JPEG.rindex(b"\xff\xda") : -2]
BAD = {
    "empty": (b"", 400, "empty"),
    "text": (b"I am a photo, honestly.\n" * 100, 415, "not_a_photo"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', 415, "not_a_photo"),
    "html": (b"<!doctype html><script>alert(1)</script>", 415, "not_a_photo"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not_a_photo"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], 422, "truncated"),
    "truncated png": (coded(CAT)[:9000], 422, "truncated"),
    "only a head": (JPEG[:20], 422, "truncated"),
    "damaged tiff": (coded(CAT, "TIFF")[:-1000], 422, None),
    "1 x 1": (png_of(1, 1), 422, "too_small"),
    "a line": (png_of(9000, 2), 422, "too_small"),
    "over the pixel limit": (png_of(2001, 1000), 413, "too_many_pixels"),
    "20,000 x 20,000": (png_of(20_000, 20_000), 413, "too_many_pixels"),
    "200,000 x 200,000": (png_of(200_000, 200_000, rows=9), 413, "too_many_pixels"),
    "a bomb of text": (
        png_of(64, 64, (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))),
        422,
        None,
    ),
    "hundreds of scans": (JPEG[:-2] + 150 * SCAN + JPEG[-2:], 422, "unreadable"),
    "too many bytes": (coded(CAT) + bytes(4_000_000), 413, "too_large"),
    "animated gif": (animated("GIF"), 415, "animated"),
    "animated png": (animated("PNG"), 415, "animated"),
    "animated webp": (animated("WEBP"), 415, "animated"),
}


def problem_of(answer: httpx.Response) -> dict[str, str]:
    """The error of an answer, after a look at its form; it tells nothing of the machine."""
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message"}
    assert re.fullmatch("[a-z_]+", error["code"])
    assert not re.search(r"Traceback|\.py|/(work|home|root|usr|tmp)|0x[0-9a-f]{6}|PIL|pydantic", answer.text)
    return error


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_upload_gets_a_clear_refusal(running, kind):
    content, status, code = BAD[kind]
    memory = psutil.Process().memory_info().rss
    answer = running.post(content)
    error = problem_of(answer)
    assert (answer.status_code, error["code"]) == (status, code or error["code"])
    assert len(error["message"]) > 15
    assert psutil.Process().memory_info().rss - memory < 150e6  # 400 MB are those of 20,000 x 20,000
    assert running.http.get("/healthz").status_code == 200


def test_what_follows_a_jpegs_end_does_not_count(running):
    """Phones put videos there, in which any bytes occur."""
    assert running.post(JPEG + b"\xff\xda\0\2" * 500).status_code == 200


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"saturation": "3"}, "saturation: "),
        ({"saturation": "nan"}, "saturation: "),
        ({"keep_color": "perhaps"}, "keep_color: "),
        ({"format": "../../etc"}, "format: .*'same', 'jpeg'"),
        ({"size": "64"}, "size: no such option; allowed: hints, saturation, keep_color, format"),
        ({"hints": "[{"}, "hints: "),
        ({"hints": '{"x": 1}'}, "hints: "),
        ({"hints": '[{"x": 2, "y": 0, "color": "#ffffff"}]'}, r"hints\.0\.x: "),
        ({"hints": '[{"x": 0, "y": 0, "color": "red"}]'}, r"hints\.0\.color: "),
        ({"hints": '[{"x": 0, "y": 0, "color": "#ffffff", "z": 1}]'}, r"hints\.0\.z: "),
        ({"hints": json.dumps([{"x": 0, "y": 0, "color": "#ffffff"}] * 4)}, "hints: 4 are too many; allowed: 3"),
    ],
)
def test_a_bad_option_is_named(running, fields, told):
    answer = running.post(coded(CAT), **fields)
    assert answer.status_code == 422
    assert problem_of(answer)["code"] == "bad_option"
    assert re.match(told, problem_of(answer)["message"])


def test_a_format_that_cannot_hold_the_photo_is_refused(running):
    answer = running.post(png_of(20_000, 64), format="webp")
    assert (answer.status_code, problem_of(answer)["code"]) == (422, "bad_option")


@pytest.mark.parametrize(
    ("request_of", "status", "code"),
    [
        ({"content": b"raw", "headers": {"content-type": "image/png"}}, 415, "not_a_form"),
        ({"data": {"photo": "text"}}, 415, "not_a_form"),
        ({"files": {"picture": b"x"}}, 400, "no_photo"),
        ({"files": {"photo": (None, b"x")}}, 400, "no_photo"),
        ({"files": [("photo", b"x"), ("photo", b"x")]}, 400, "bad_form"),
        ({"files": [("photo", b"x")], "data": {"hints": "x" * 100_000}}, 400, "bad_form"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "bad_form"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, "bad_form"),
        (
            {"content": b"--b\r\n\r\nx", "headers": {"content-type": "multipart/form-data; boundary=b; charset=zip"}},
            400,
            "bad_form",
        ),
    ],
)
def test_what_is_no_form_with_one_photo_is_refused(running, request_of, status, code):
    answer = running.http.post("/api/colorize", **request_of)
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/static/../app.py", 404, "not_found"),
        ("GET", "/static/%2e%2e/app.py", 404, "not_found"),
        ("GET", "/examples/..%2f..%2fapp.py", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/api/colorize", 405, "wrong_method"),
        ("GET", "/broken", 500, "fault"),
    ],
)
def test_other_errors_are_of_the_same_form(running, method, path, status, code, caplog):
    with running.connected() as connection:  # httpx would tidy the path
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    answer = httpx.Response(int(head.split()[1]), content=body)
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)


@pytest.mark.slow
def test_too_large_a_body_is_refused_before_it_is_read(hold):
    running, _ = hold(bytes=4_000_000, patience=5)
    with running.connected() as connection:
        connection.sendall(
            b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")

    # A client that does not listen while it speaks, as most: it hears of it all the same.
    speaking = http.client.HTTPConnection(*running.socket.getsockname(), timeout=20)
    speaking.request("POST", "/api/colorize", bytes(30_000_000), {"Content-Type": "multipart/form-data; boundary=b"})
    assert speaking.getresponse().status == 413
    speaking.close()

    sent, memory, end = 0, psutil.Process().memory_info().rss, time.monotonic() + 20
    with running.connected() as connection:
        connection.sendall(
            b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        start = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="p"\r\n\r\n'
        connection.sendall(b"%x\r\n%b\r\n" % (len(start), start))
        chunk = b"%x\r\n%b\r\n" % (1 << 16, bytes(1 << 16))
        with contextlib.suppress(ConnectionError):  # in the end it is hung up on
            while time.monotonic() < end:
                connection.sendall(chunk)
                sent += 1 << 16
    assert time.monotonic() < end
    assert sent > 4e6
    assert psutil.Process().memory_info().rss - memory < 100e6


# Who may ask


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8000", True),
        ("127.0.0.1", True),
        ("[::1]:8000", True),
        ("192.168.1.7:8000", True),
        (socket.gethostname(), True),
        ("tintype.example", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_a_name_that_is_not_the_servers_is_refused(running, host, known):
    answer = running.http.get("/api/model", headers={"host": host})
    assert answer.status_code == (200 if known else 421)
    assert known or running.value("tintype_refusals_total", code="wrong_host") > 0


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://localhost:3000"}, False),
        ({"Origin": "https://localhost:8000"}, False),
        ({"Origin": "https://tintype.example"}, True),
        ({"Origin": "http://tintype.example"}, False),
        ({"Origin": "https://tintype.example:8000"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_other_sites_pages_have_nothing_colored(running, headers, allowed):
    answer = running.http.post(
        "/api/colorize", files={"photo": coded(CAT)}, headers={"host": "localhost:8000", **headers}
    )
    assert answer.status_code == (200 if allowed else 403)
    assert "access-control-allow-origin" not in answer.headers
    assert allowed or running.value("tintype_refusals_total", code="other_site") > 0


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/model", "/nowhere", "/broken", "/openapi.json"])
def test_every_answer_is_fenced_in(running, path):
    headers = running.http.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


# Many at a time


def test_photos_that_come_together_share_a_batch_and_get_their_own_answers(hold):
    running, pool = hold()
    photos = [coded(np.full((40, 40), level, np.uint8)) for level in (40, 60, 80, 100, 120, 140)]
    first = pool.submit(running.post, photos[0])
    until(lambda: running.backend.batches == [1])
    others = [pool.submit(running.post, photo) for photo in photos[1:]]
    until(lambda: running.value("tintype_step_seconds_count", step="decode") == 6)
    running.backend.let.set()
    answers = [pixels_of(future.result()) for future in (first, *others)]
    assert running.backend.batches == [1, 4, 1]
    for photo, answer in zip(photos, answers, strict=True):
        np.testing.assert_array_equal(answer, pixels_of(running.post(photo)))
    assert running.value("tintype_batch_photos_sum") == 12


def test_each_photo_has_its_own_options(hold):
    running, pool = hold()
    photo = coded(np.full((40, 40), 60, np.uint8))
    answers = [pool.submit(running.post, photo, saturation=saturation) for saturation in ("0", "0.5", "1")]
    until(lambda: running.value("tintype_step_seconds_count", step="decode") == 3)
    running.backend.let.set()
    chroma = [np.ptp(pixels_of(future.result()).astype(int), axis=2).max() for future in answers]
    assert chroma[0] <= 1
    assert 1 < chroma[1] < chroma[2]


def test_one_photos_fault_is_not_its_neighbors(hold):
    running, pool = hold()
    photos = [coded(np.full((40, 40), level, np.uint8)) for level in (90, 50, 0, 60)]
    answers = [pool.submit(running.post, photos[0])]
    until(lambda: running.backend.batches == [1])
    answers += [pool.submit(running.post, photo) for photo in photos[1:]]
    until(lambda: running.value("tintype_step_seconds_count", step="decode") == 4)
    running.backend.let.set()
    assert [future.result().status_code for future in answers] == [200, 200, 500, 200]
    assert problem_of(answers[2].result())["code"] == "fault"


def test_more_photos_than_the_queue_holds_are_told_to_come_back(hold):
    running, pool = hold(queue=2)
    taken = [pool.submit(running.post, coded(CAT)) for _ in range(2)]
    until(lambda: running.value("tintype_photos") == 2)
    refused = running.post(coded(CAT))
    assert (refused.status_code, problem_of(refused)["code"]) == (429, "busy")
    assert int(refused.headers["retry-after"]) > 0
    assert running.value("tintype_photos") == 2
    running.backend.let.set()
    assert [future.result().status_code for future in taken] == [200, 200]
    assert running.post(coded(CAT)).status_code == 200
    assert running.value("tintype_refusals_total", code="busy") == 1


def test_a_photo_that_takes_too_long_is_given_up_on_and_its_place_kept_until_it_is_over(hold):
    running, _ = hold(queue=1, timeout=2)
    assert running.post(b"no photo").status_code == 415  # the decoder has started
    late = running.post(coded(CAT))
    assert (late.status_code, problem_of(late)["code"]) == (503, "timeout")
    assert int(late.headers["retry-after"]) > 0
    assert running.post(coded(CAT)).status_code == 429
    until(lambda: running.http.get("/healthz").status_code == 503)
    running.backend.let.set()
    until(lambda: running.value("tintype_photos") == 0)
    assert running.post(coded(CAT)).status_code == 200
    assert running.http.get("/healthz").status_code == 200


def test_who_hangs_up_is_not_worked_for(hold):
    running, pool = hold()
    first = pool.submit(running.post, coded(CAT))
    until(lambda: running.backend.batches == [1])
    body = httpx.Request("POST", "http://localhost/", files={"photo": coded(CAT)})
    with running.connected() as connection:
        connection.sendall(
            f"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Type: {body.headers['content-type']}\r\n"
            f"Content-Length: {len(body.read())}\r\n\r\n".encode()
            + body.content
        )
        until(lambda: running.value("tintype_step_seconds_count", step="decode") == 2)
    until(lambda: running.value("tintype_photos") == 1)
    running.backend.let.set()
    assert first.result().status_code == 200
    assert running.backend.batches == [1]
    assert running.value("tintype_http_requests_total", status="499") == 1


def test_hints_of_who_hangs_up_are_left(hold, monkeypatch):
    begun, let = [], threading.Event()

    class Slow:
        def __init__(self, price: np.ndarray) -> None:
            self.price = price

        def find_costs(self, spots: list[tuple[int, int]]) -> tuple[np.ndarray, None]:
            begun.append(spots)
            assert let.wait(20)
            return self.price, None

    monkeypatch.setattr("tintype.inference.hints.MCP_Geometric", Slow)
    running, _ = hold()
    running.backend.let.set()
    with not_listening(running, hints=json.dumps([{"x": 0, "y": 0, "color": "#ff0000"}] * 5)):
        until(lambda: len(begun) == 1)
    until(lambda: running.value("tintype_http_requests_total", status="499") == 1)
    let.set()
    until(lambda: running.value("tintype_photos") == 0)
    assert len(begun) == 1


@pytest.mark.filterwarnings("error")
def test_a_network_that_gives_up_leaves_nobody_waiting():
    def predict(photos: object) -> list[np.ndarray]:
        raise SystemExit(1)

    async def asked(batcher: Batcher) -> None:
        with pytest.raises(RuntimeError, match="gave up"):
            await asyncio.wait_for(batcher(None), 5)
        assert batcher.busy_for() == 0

    async def twice() -> None:
        batcher = Batcher(predict, 2)
        await asked(batcher)
        batcher.close()
        await asked(batcher)

    asyncio.run(twice())


def test_large_photos_are_not_decoded_at_a_time(hold):
    running, pool = hold(pixels=3 * CAT.size)
    answers = [pool.submit(running.post, coded(CAT)) for _ in range(6)]
    until(lambda: running.backend.batches != [])
    until(lambda: running.value("tintype_photos") == 6)
    until(lambda: running.value("tintype_step_seconds_count", step="decode") == 3)
    time.sleep(0.5)
    assert running.value("tintype_step_seconds_count", step="decode") == 3
    running.backend.let.set()
    assert [future.result().status_code for future in answers] == [200] * 6


def test_a_server_that_is_told_to_stop_finishes_what_it_has_begun(hold):
    running, pool = hold()
    answer: Future = pool.submit(running.post, coded(CAT))
    until(lambda: running.backend.batches == [1])
    running.uvicorn.should_exit = True
    time.sleep(0.3)
    running.backend.let.set()
    assert answer.result().status_code == 200
    running.thread.join(20)
    assert not running.thread.is_alive()


# Slow clients


def hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True


def test_a_head_that_does_not_come_is_not_waited_for(hold):
    running, _ = hold(patience=0.3)
    for said in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
        with running.connected() as connection:
            connection.sendall(said)
            assert hung_up(connection)
    with running.connected() as connection:  # the same after an answer
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(1000)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"G")
        assert hung_up(connection)


def test_a_body_that_drips_is_not_waited_for_and_its_place_is_free_again(hold):
    running, _ = hold(patience=0.3, queue=1)
    with running.connected() as connection:
        connection.sendall(
            b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        assert connection.recv(10000).startswith(b"HTTP/1.1 408 ")
    assert running.value("tintype_photos") == 0


def test_a_body_has_so_long_and_no_longer(hold):
    running, _ = hold(patience=0.3, transfer=0.6, rate=1)
    with running.connected() as connection:
        connection.sendall(
            b"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="photo"; filename="p"\r\n\r\n' + bytes(1000)
        )
        assert connection.recv(10000).startswith(b"HTTP/1.1 408 ")


@contextlib.contextmanager
def not_listening(running: Running, **fields: str):
    """A client that sends a photo, and takes no answer."""
    photo = coded(np.full((2500, 2000), 90, np.uint8), "BMP")
    body = httpx.Request("POST", "http://localhost/", files={"photo": photo}, data=fields)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(running.socket.getsockname())
        connection.sendall(
            f"POST /api/colorize HTTP/1.1\r\nHost: localhost\r\nContent-Type: {body.headers['content-type']}\r\n"
            f"Connection: close\r\nContent-Length: {len(body.read())}\r\n\r\n".encode()
            + body.content
        )
        yield connection


def taken(connection: socket.socket) -> int:
    got = 0
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(1 << 20):
            got += len(chunk)
    return got


@pytest.mark.parametrize("limits", [{"patience": 0.3}, {"transfer": 0.6}])
def test_an_answer_that_is_not_taken_is_dropped(hold, limits):
    running, _ = hold(**limits)
    running.backend.let.set()
    with not_listening(running) as connection:
        until(lambda: running.value("tintype_step_seconds_count", step="encode") == 1)
        until(lambda: running.value("tintype_photos") == 0)
        assert taken(connection) < 3 * 2500 * 2000


def test_an_answer_has_its_place_until_it_is_taken(hold):
    running, _ = hold(queue=1)
    running.backend.let.set()
    with not_listening(running) as connection:
        until(lambda: running.value("tintype_step_seconds_count", step="encode") == 1)
        time.sleep(0.5)
        assert running.value("tintype_photos") == 1
        assert running.post(coded(CAT)).status_code == 429
        assert taken(connection) > 3 * 2500 * 2000
    assert pixels_of(running.post(coded(CAT))).shape == (*CAT.shape, 3)


def test_answers_that_are_not_taken_leave_no_room_for_further_ones(hold):
    running, pool = hold(answers=16_000_000)
    running.backend.let.set()
    with not_listening(running) as connection:
        until(lambda: running.value("tintype_step_seconds_count", step="encode") == 1)
        second = pool.submit(running.post, coded(np.full((2500, 2000), 90, np.uint8), "BMP"))
        until(lambda: running.value("tintype_step_seconds_count", step="encode") == 2)
        time.sleep(0.5)
        assert not second.done()
        assert taken(connection) > 3 * 2500 * 2000
        assert second.result().status_code == 200


def test_connections_over_the_limit_are_told_to_come_back(hold, monkeypatch):
    monkeypatch.setattr("tintype.serving.server.CONNECTIONS", 0)
    running, _ = hold(queue=1)
    with running.connected():
        refused = running.http.get("/healthz")
        assert (refused.status_code, problem_of(refused)["code"]) == (503, "crowded")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["x-content-type-options"] == "nosniff"
    until(lambda: running.http.get("/healthz").status_code == 200)


# What is told and kept


def test_no_file_is_written(running):
    """Files that Python opens for writing, and temporary ones, are announced to audit hooks."""
    written, watching = [], True

    def hook(event: str, arguments: tuple) -> None:
        if watching and (event.startswith("tempfile.") or (event == "open" and arguments[2] & 3)):
            written.append(arguments)

    sys.addaudithook(hook)  # for good: there is no way to take one away
    noise = np.random.default_rng(0).integers(0, 256, (1700, 1000), dtype=np.uint8)
    for format in ("PNG", "TIFF", "JPEG"):
        photo = coded(noise, format)
        assert len(photo) > 1_000_000 or format == "JPEG"  # what starlette itself would spool
        assert running.post(photo).status_code == 200
    running.post(coded(noise)[:-1000])
    watching = False
    assert written == []


def test_figures_move_and_have_few_labels(running):
    def colored() -> float:
        return running.value("tintype_http_requests_total", route="/api/colorize", method="POST", status="200")

    before = colored()
    running.post(coded(CAT))
    assert colored() == before + 1
    for step in ("wait", "decode", "network", "join", "encode"):
        assert running.value("tintype_step_seconds_count", step=step) > 0
    assert running.value("process_resident_memory_bytes") > 1e6
    for number in range(5):
        running.http.get(f"/made/up/{number}")
        running.http.request(f"MADE{number}", "/")
    assert "made/up" not in running.http.get("/metrics").text
    assert "MADE" not in running.http.get("/metrics").text
    assert running.value("tintype_photos") == 0


def test_the_api_is_described(running):
    described = running.http.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/api/colorize",
        "/api/model",
        "/api/examples",
        "/healthz",
        "/metrics",
        "/broken",
    }
    colorize = described["paths"]["/api/colorize"]["post"]
    fields = colorize["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(fields) == {"photo", "hints", "saturation", "keep_color", "format"}
    assert all(field["description"] for field in fields.values())
    told = {int(status) for status in colorize["responses"]}
    assert told >= {200, 400, 403, 408, 413, 415, 421, 422, 429, 500, 503}
    assert told >= {status for _, status, _ in BAD.values()}
    assert "$ref" not in json.dumps(fields)
    assert (fields["hints"]["type"], fields["hints"]["default"]) == ("string", "[]")
    assert list(described["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]
    assert all(set(operations) <= {"get", "post"} for operations in described["paths"].values())


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics"])
def test_a_head_alone_can_be_asked_for(running, path):
    answer = running.http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


# The command


@pytest.fixture
def command():
    app = typer.Typer()
    app.command()(serve)
    return lambda *words: CliRunner().invoke(app, words)


def test_a_port_in_use_is_told(command, running, weights):
    port = running.socket.getsockname()[1]
    failed = command("--model", str(weights), "--port", str(port)).exception
    assert isinstance(failed, UserError)
    assert re.fullmatch(rf"--host 127\.0\.0\.1 --port {port}: address already in use.*", str(failed), re.IGNORECASE)


def test_an_address_of_another_machine_is_told(command, weights):
    failed = command("--model", str(weights), "--host", "nowhere.invalid").exception
    assert isinstance(failed, UserError)
    assert "--host nowhere.invalid" in str(failed)


@pytest.mark.parametrize(
    "wrong", [("--allow-host", "ftp://photos.lan"), ("--allow-host", "photos.lan:99999"), ("--root-path", "colors")]
)
def test_names_that_no_page_can_have_are_told(command, weights, wrong):
    failed = command("--model", str(weights), *wrong).exception
    assert isinstance(failed, UserError)
    assert str(failed).startswith(" ".join(wrong))


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "python_multipart", "prometheus_client"])
def test_a_missing_extra_is_told(command, weights, missing, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("tintype.serving", missing))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    failed = command("--model", str(weights)).exception
    assert isinstance(failed, UserError)
    assert "pip install 'tintype[serve]'" in str(failed)
    assert missing.split("_")[0] in str(failed)


# Under load


@pytest.mark.slow
def test_200_requests_of_20_clients_lose_none_and_leave_the_memory_as_it_was(weights, colorizer, tmp_path):
    """In a process of its own, by the command. A quarter of the uploads are bad; their refusals are counted, too."""
    generator = np.random.default_rng(0)

    def photo(width: int, height: int) -> np.ndarray:
        coarse = generator.integers(0, 256, (height // 16, width // 16), dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((width, height)))

    good = [
        coded(photo(width, height), format)
        for width, height, format in (
            (1200, 800, "JPEG"),
            (800, 1200, "JPEG"),
            (640, 480, "PNG"),
            (1200, 480, "WEBP"),
            (800, 800, "TIFF"),
            (2400, 1600, "JPEG"),
        )
    ]
    uploads = [*good, good[0][:-5000], b"no photo"]
    truth = []
    for prepared in map(colorizer.prepare, good):
        photo_in_color = colorizer.finish(prepared, colorizer.predict([prepared])[0])
        truth.append(np.asarray(Image.open(io.BytesIO(encode_photo(photo_in_color))), int))

    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-c", "from tintype.cli import main; main()", "serve", "--port", "0", "--model", weights]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path / "temporary", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        url = re.search(r"http://[\d.:]+", process.stdout.readline()).group()
        server = psutil.Process(process.pid)

        def client(number: int) -> None:
            with httpx.Client(base_url=url, timeout=300) as session:
                for request in range(10):
                    index = (number + request) % len(uploads)
                    answer = session.post("/api/colorize", files={"photo": uploads[index]})
                    if index >= len(good):
                        assert answer.status_code in (415, 422)
                    else:  # torch's last bits depend on the batch
                        assert np.abs(pixels_of(answer).astype(int) - truth[index]).mean() < 0.1

        def load(clients: int) -> None:
            with ThreadPoolExecutor(clients) as pool:
                list(pool.map(client, range(clients)))

        def open_files() -> int:
            """But for the two pipes of each decoder. One is started per thread that decodes."""
            return server.num_fds() - 2 * len(server.children())

        try:
            load(1)  # what is made once: caches, threads, the network's own memory
            time.sleep(1)
            memory, files = server.memory_info().rss, open_files()
            load(20)
            until(lambda: server.memory_info().rss < memory + 40e6)
            until(lambda: open_files() <= files)
            metrics = httpx.get(f"{url}/metrics").text
            assert 'tintype_http_requests_total{method="POST",route="/api/colorize",status="200"} ' in metrics
            assert "tintype_photos 0.0" in metrics
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert list((tmp_path / "temporary").iterdir()) == []
