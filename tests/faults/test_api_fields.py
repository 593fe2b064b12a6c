"""Fields of the HTTP API that say something else than they should: one line that names the field, and never a 500."""

import json
import time

import httpx
import pytest
from running_server import CAT, coded, servers_on_hold

PHOTO = coded(CAT)


@pytest.fixture(scope="module")
def running():
    with servers_on_hold() as start:
        running, _ = start()
        running.backend.let.set()
        yield running


def spot(**changes: str) -> str:
    """A list of one hint, with other JSON in some places."""
    parts = {"x": "0.5", "y": "0.5", "color": '"#ffffff"', **changes}
    inner = ", ".join(f"{json.dumps(name)}: {value}" for name, value in parts.items())
    return f"[{{{inner}}}]"


def message_of(answer: httpx.Response, *statuses: int) -> str:
    assert answer.status_code in statuses, answer.text
    message = answer.json()["error"]["message"]
    assert message.isprintable()
    assert len(message) < 300
    return message


@pytest.mark.parametrize("x", ["true", "false", '"0.5"', "null", "[]", "NaN", "Infinity", "-Infinity", "1e999"])
def test_only_a_number_is_a_number(running, x):
    assert message_of(running.post(PHOTO, hints=spot(x=x)), 422).startswith("hints.0.x: ")


def test_whole_numbers_are_numbers(running):
    assert running.post(PHOTO, hints=spot(x="1", y="0")).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"hints": spot(x="1" + "0" * 400)},
        {"hints": spot(x="1" + "0" * 60_000)},
        {"hints": "[" * 60_000},
        {"hints": '{"x":' * 10_000},
        {"hints": "[" + "0," * 30_000 + "0]"},
        {"hints": "null"},
        {"hints": spot(color="5")},
        {"hints": spot(color='"#ffffff\\n"')},
        {"hints": spot(**{"a\nb\u202e": "1"})},
        {"hints": '[{"\\ud800": 1}]'},
        {"saturation": "1e400"},
        {"saturation": "1" * 60_000},
        {"saturation": "true"},
        {"keep_color": "2"},
        {"format": "\0"},
    ],
)
def test_odd_values_are_refused_by_their_fields_name_and_at_once(running, fields):
    begun = time.monotonic()
    message = message_of(running.post(PHOTO, **fields), 422)
    assert time.monotonic() - begun < 2
    assert message.startswith(next(iter(fields)))


@pytest.mark.parametrize("name", ["saturation", "photo", "hints"])
def test_a_field_that_comes_twice_is_refused(running, name):
    parts = [("photo", ("p.png", PHOTO)), (name, (None, b"1")), (name, (None, b"0"))]
    answer = running.http.post("/api/colorize", files=parts)
    assert message_of(answer, 400) == f"{name}: the form has this field more than once"


def test_a_name_that_does_not_fit_on_a_line_is_told_on_one(running):
    answer = running.http.post("/api/colorize", files=[("photo", ("p.png", PHOTO)), ("a\u2028b", (None, b"1"))])
    assert message_of(answer, 422).startswith("a?b: no such option")


@pytest.mark.parametrize("charset", ["punycode", "undefined", "unicode_escape", "idna", "utf-16", '"\\0"', "x" * 999])
def test_texts_are_utf_8(running, charset):
    """Python's codecs know names under which a few bytes cost seconds, or that raise what no one expects."""
    form = httpx.Request("POST", "http://localhost/", files={"photo": PHOTO}, data={"format": "\\ud800" * 9_000})
    answer = running.http.post(
        "/api/colorize",
        content=form.read(),
        headers={"content-type": f"{form.headers['content-type']}; charset={charset}"},
    )
    assert message_of(answer, 400) == "charset: allowed: utf-8"
