"""The server behind a real nginx, with the config that the documentation shows, and with those that people have."""

import contextlib
import io
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from PIL import Image
from running_server import CAT, Running, coded, until
from test_page import FLAGS, Visit, browser  # noqa: F401 - a fixture

from tintype import Colorizer
from tintype.serving.guard import Origin
from tintype.serving.limits import Limits

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/run-the-web-app.md"
NAME = "photos.example.org"
DEFAULT = "server {{ listen {port}; location / {{ proxy_pass http://127.0.0.1:{server}; }} }}"
"""What nginx does unless told otherwise: its own Host, HTTP/1.0, bodies of up to 1 MB."""
TLS = "server {{ listen {port} ssl; ssl_certificate {pem}; ssl_certificate_key {key}; "
PROXY_PARAMS = (
    TLS
    + """location / {{
    proxy_pass http://127.0.0.1:{server};
    proxy_set_header Host $host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
}} }}"""
)
"""What Debian's and Ubuntu's /etc/nginx/proxy_params add: the browser's Host without its port."""
OWN_HOST = (
    TLS
    + """location /deep/er/ {{
    proxy_pass http://127.0.0.1:{server}/;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-Proto $scheme;
}} }}"""
)


class Published(NamedTuple):
    """A server, and its address before the proxy."""

    server: Running
    url: str


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not found and os.environ.get("TINTYPE_NGINX_REQUIRED") != "1":
        pytest.skip("no nginx on the PATH")
    assert found, "TINTYPE_NGINX_REQUIRED=1, and there is no nginx"
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    pem, key = folder / "photos.pem", folder / "photos.key"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*request.split(), *names, "-keyout", key, "-out", pem], check=True, capture_output=True)
    return pem, key


@pytest.fixture(scope="module")
def stopping() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def published(nginx, certificate, weights, tmp_path_factory, stopping) -> Iterator[dict[str, Published]]:
    """A server behind each kind of proxy."""
    pem, key = certificate
    [shown] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    places = {
        "listen 8443": "listen {port}",
        "127.0.0.1:8000": "127.0.0.1:{server}",
        "/etc/ssl/certs/photos.pem": "{pem}",
        "/etc/ssl/private/photos.key": "{key}",
    }
    shown = shown.replace("{", "{{").replace("}", "}}")
    for told, place in places.items():
        assert told in shown
        shown = shown.replace(told, place)
    colorizer = Colorizer.load(weights)
    servers, blocks = {}, []
    for kind, block, scheme, root_path in (
        ("docs", shown, "https", "/colors"),
        ("default", DEFAULT, "http", ""),
        ("proxy_params", PROXY_PARAMS, "https", ""),
        ("own host", OWN_HOST, "https", "/deep/er"),
    ):
        port = free_port()
        allowed = f"{NAME}:{port}" if scheme == "https" else f"http://{NAME}:{port}"
        server = Running(colorizer, Limits(patience=5), (allowed,), root_path)
        stopping.callback(server.stop)
        blocks.append(block.format(port=port, server=server.socket.getsockname()[1], pem=pem, key=key))
        servers[kind] = Published(server, f"{scheme}://{NAME}:{port}{root_path}/")
    folder = tmp_path_factory.mktemp("nginx")
    temporary = " ".join(
        f"{one}_temp_path {folder}/{one};" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not write into root's folder
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} worker_processes 1; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off; {temporary}\n" + "\n".join(blocks) + "\n}\n"
    )
    command = [nginx, "-c", folder / "nginx.conf", "-p", folder, "-e", "stderr"]
    with subprocess.Popen(command, stderr=(folder / "log").open("w")) as process:
        try:
            until(lambda: process.poll() is not None or all(map(listens, servers.values())))
            assert process.poll() is None, (folder / "log").read_text()
            yield servers
        finally:
            process.terminate()


def listens(one: Published) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", httpx.URL(one.url).port)) == 0


@pytest.fixture
def client(certificate) -> Iterator[httpx.Client]:
    """A client to which the public name is this machine's."""

    class Here(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            request.extensions["sni_hostname"] = request.url.host
            request.url = request.url.copy_with(host="127.0.0.1")
            return super().handle_request(request)

    context = ssl.create_default_context(cafile=certificate[0])
    with httpx.Client(transport=Here(verify=context), timeout=60) as client:
        yield client


KINDS = ["docs", "default", "proxy_params", "own host"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_and_what_it_asks_for_are_found_behind_the_proxy(published, client, kind):
    url = published[kind].url
    origin = url.split("/", 3)
    headers = {"Origin": "/".join(origin[:3]), "Sec-Fetch-Site": "same-origin"}
    page = client.get(url)
    assert page.status_code == 200
    linked = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
    assert "static/main.js" in linked
    for link in [*linked, "api/model", "static/api.js", "healthz"]:
        assert client.get(httpx.URL(url).join(link)).status_code == 200
    for example in client.get(f"{url}api/examples").json():
        assert client.get(httpx.URL(url).join(example["url"])).headers["content-type"] == "image/jpeg"
    answer = client.post(f"{url}api/colorize", files={"photo": coded(CAT)}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert np.asarray(Image.open(io.BytesIO(answer.content))).shape == (*CAT.shape, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_pages_of_other_origins_are_refused_behind_the_proxy(published, client, kind):
    url = httpx.URL(published[kind].url)
    other_scheme = {"http": "https", "https": "http"}[url.scheme]
    for origin in (
        f"{other_scheme}://{NAME}:{url.port}",
        f"{other_scheme}://{NAME}",
        f"{url.scheme}://{NAME}:{url.port + 1}",
        f"{url.scheme}://evil.example:{url.port}",
        "null",
    ):
        answer = client.post(url.join("api/colorize"), files={"photo": coded(CAT)}, headers={"Origin": origin})
        assert answer.status_code == 403, origin
        assert answer.json()["error"]["code"] == "other_site"


def test_a_photo_as_large_as_the_server_takes_passes_the_documented_proxy(published, client):
    noise = np.random.default_rng(0).integers(0, 256, (60, 1000, 1000), np.uint8)
    photo = coded(noise[0], "BMP") + noise[1:].tobytes()  # what follows the pixels does not count
    assert 60_000_000 < len(photo) < Limits().bytes
    answer = client.post(f"{published['docs'].url}api/colorize", files={"photo": photo})
    assert answer.status_code == 200, answer.text


def test_the_page_colors_photos_under_a_prefix(published, browser):  # noqa: F811
    url = published["docs"].url
    visit = Visit(browser, url, ignore_https_errors=True)
    visit.page.click("#examples button")
    visit.done()
    assert all(asked.startswith((url, "blob:", "data:")) for asked in visit.asked)
    assert visit.complaints == []


def test_the_description_names_the_prefix(published, client):
    assert client.get(f"{published['docs'].url}openapi.json").json()["servers"] == [{"url": "/colors"}]


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("photos.example.org", ("https", "photos.example.org", 443)),
        ("Photos.Example.org:8443", ("https", "photos.example.org", 8443)),
        ("http://photos.example.org", ("http", "photos.example.org", 80)),
        ("https://[::1]:443", ("https", "::1", 443)),
        ("null", ("https", "null", 443)),
        ("ftp://photos.example.org", None),
        ("https://photos.example.org:99999", None),
        ("https://", None),
        ("", None),
        ("https://[::1", None),
    ],
)
def test_origins_are_read(text, origin):
    assert Origin.read(text) == origin
