"""Clients that are still sending when they are refused: they see the answer, not a broken connection."""

import http.client

import pytest
from running_server import CAT, Running, coded, servers_on_hold, until

from tintype.serving import server as uvicorn_server

BODY = 8_000_000  # more than the system's buffers hold


@pytest.fixture
def hold():
    with servers_on_hold() as start:
        yield start


def refused(running: Running, path: str = "/api/colorize", **headers: str) -> tuple[int, str | None]:
    """The status of an answer to a client that listens only when all is sent, as most do."""
    speaking = http.client.HTTPConnection(*running.socket.getsockname(), timeout=20)
    try:
        speaking.request("POST", path, bytes(BODY), {"Content-Type": "multipart/form-data; boundary=b", **headers})
        answer = speaking.getresponse()
        return answer.status, answer.getheader("Retry-After")
    finally:
        speaking.close()


def test_whoever_refuses_is_heard(hold, monkeypatch):
    running, pool = hold(queue=1, patience=5)
    assert refused(running, Origin="https://evil.example") == (403, None)
    assert refused(running, Host="evil.example") == (421, None)
    assert refused(running, "/nowhere") == (404, None)
    assert refused(running, "/api/model") == (405, None)
    waiting = pool.submit(running.post, coded(CAT))
    until(lambda: running.value("tintype_photos") == 1)
    assert refused(running) == (429, "2")
    running.backend.let.set()
    assert waiting.result().status_code == 200
    monkeypatch.setattr(uvicorn_server, "CONNECTIONS", -1)
    crowded, _ = hold(queue=1)
    assert refused(crowded) == (503, "2")
