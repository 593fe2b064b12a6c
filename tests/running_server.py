"""Servers in a thread of the tests: real uvicorn on a free port, real requests."""

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from skimage import data

from tintype import Colorizer
from tintype.inference.model_names import FoundModel
from tintype.serving.app import create_app
from tintype.serving.limits import Limits
from tintype.serving.server import address_of, listen, server

CAT = np.asarray(Image.fromarray(data.chelsea()).convert("L"))


class Running:
    """An app behind uvicorn, in a thread."""

    def __init__(self, colorizer: Colorizer, limits: Limits, hosts: tuple[str, ...] = (), root_path: str = "") -> None:
        located = FoundModel(__file__, "colorizer 3 (row)", {"psnr": 25.4})
        app = create_app(colorizer, located, limits, hosts)

        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError(f"a fault in {__file__}")

        self.backend = colorizer.backend
        self.socket = listen("127.0.0.1", 0)
        self.uvicorn = server(app, limits, root_path)
        self.thread = threading.Thread(target=self.uvicorn.run, args=[[self.socket]])
        self.thread.start()
        self.http = httpx.Client(base_url=address_of(self.socket), timeout=60)

    def post(self, photo: bytes, name: str = "photo.jpg", **fields: str) -> httpx.Response:
        with httpx.Client(base_url=self.http.base_url, timeout=60) as client:
            return client.post("/api/colorize", files={"photo": (name, photo)}, data=fields)

    def value(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        families = text_string_to_metric_families(self.http.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    def connected(self) -> socket.socket:
        return socket.create_connection(self.socket.getsockname(), timeout=20)

    def stop(self) -> None:
        self.http.close()
        self.uvicorn.should_exit = True
        self.thread.join(20)
        self.socket.close()
        assert not self.thread.is_alive()


class Held:
    """A backend that waits until it is let, keeps its batches' sizes, and fails at black photos."""

    image_size = 32
    stochastic = False
    chroma_stride = 1

    def __init__(self) -> None:
        self.let = threading.Event()
        self.batches: list[int] = []

    def __call__(self, lightness: np.ndarray, seed: int | None = None) -> np.ndarray:
        self.batches.append(len(lightness))
        assert self.let.wait(30)
        light = lightness.mean(axis=(2, 3), keepdims=True)
        if (light == 0).any():
            raise RuntimeError(f"out of memory in {__file__}")
        return np.repeat(np.broadcast_to(light - 50, lightness.shape), 2, axis=1)  # each photo has a tint of its own


@contextlib.contextmanager
def servers_on_hold() -> Iterator[Callable[..., tuple[Running, ThreadPoolExecutor]]]:
    """A function that starts a server with the given limits, whose network waits; and threads for its clients."""
    started = []

    def start(**limits) -> Running:
        started.append(Running(Colorizer(Held(), batch_size=4), Limits(**limits)))
        return started[-1]

    with ThreadPoolExecutor(8) as pool:
        yield lambda **limits: (start(**limits), pool)
        for one in started:
            one.backend.let.set()
    for one in started:
        one.stop()


def coded(pixels: np.ndarray, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def pixels_of(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
