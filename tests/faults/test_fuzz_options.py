"""Params and options of any kind: each is accepted, or is a mistake that one line explains."""

import copy
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from mutation import cases, mutated, outcome
from PIL import Image

import tintype.cli
from tintype.config import load_project
from tintype.errors import UserError
from tintype.inference.colorizer import Colorizer
from tintype.inference.hints import Hint

PARAMS = Path(__file__).parents[2].joinpath("params.yaml")
VALUES = yaml.safe_load(PARAMS.read_text())

numbers = st.one_of(st.integers(-3, 3), st.sampled_from([10**9, 10**400, 0.5, 1e308, 1e-45]), st.floats())
leaves = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=5), st.sampled_from(["none", "unet", "lab"]))
anything = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def params(draw):
    """Draw the default project's params with up to four other values."""
    values = copy.deepcopy(VALUES)
    for _ in range(draw(st.integers(1, 4))):
        place = values
        while True:
            keys = list(range(len(place))) if isinstance(place, list) else sorted(place, key=str)
            key = draw(st.sampled_from(keys)) if keys else None
            if key is not None and isinstance(place[key], dict | list) and draw(st.integers(0, 4)):
                place = place[key]
                continue
            break
        if key is None or (isinstance(place, dict) and not draw(st.integers(0, 5))):
            key = draw(st.text(max_size=5))
        if isinstance(place, dict) or isinstance(key, int):
            place[key] = draw(anything)
    return values


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzed") / "params.yaml"


def load(file):
    outcome(lambda: load_project(file), UserError)


@cases(share=0.05, few=25)
@given(values=params())
@example({**VALUES, "two\nlines": 1})
def test_params_with_other_values(file, values):
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    load(file)


@cases(share=0.05, few=15)
@given(content=mutated({"params": PARAMS.read_bytes()}))
@example(b"[" * 2_000)
@example(b"a: &a [*a]")
@example(b"? {a: 1}\n: 2")
def test_damaged_params(file, content):
    file.write_bytes(content)
    load(file)


class Constant:
    """A backend without a network: the same color everywhere."""

    image_size = 32
    stochastic = False
    chroma_stride = 1
    card = None

    def __call__(self, lightness, seed=None):
        return np.full((len(lightness), 2, *lightness.shape[2:]), 20, np.float32)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), max_size=12)
hints = st.one_of(
    texts,
    st.tuples(numbers, numbers, texts).map(lambda parts: ",".join(map(str, parts))),
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.from_regex(r"#[0-9a-fA-F]{6}", fullmatch=True)).map(
        lambda parts: ",".join(map(str, parts))
    ),
)
options = st.one_of(
    st.tuples(st.just("--hint"), hints),
    st.tuples(
        st.sampled_from(["--saturation", "--size", "--samples", "--seed", "--batch-size"]),
        st.one_of(texts, numbers.map(str)),
    ),
    st.tuples(st.sampled_from(["--format", "--backend", "--device", "--model", "-o"]), texts),
    st.sampled_from([("--compare",), ("--keep-color",), ("--evaluate",), ("--overwrite",)]),
    st.tuples(texts),
)


@cases(share=0.05, few=30)
@given(words=st.lists(options, max_size=3))
def test_options(words):
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        folder = Path(root, "folder")
        folder.mkdir()
        Image.new("L", (8, 6), 99).save(folder / "photo.png")
        patch.chdir(folder)
        patch.setattr(Colorizer, "load", lambda *_, **given: _colorizer(**given))
        patch.setattr(sys, "argv", ["tintype", "colorize", "photo.png", *(word for option in words for word in option)])
        with pytest.raises(SystemExit) as ended:
            tintype.cli.main()
        assert ended.value.code in (0, 1, 2)
        assert os.listdir(root) == ["folder"]  # noqa: PTH208 - nothing outside


def _colorizer(*, backend, device, **options):
    return Colorizer(Constant(), **options)


@cases(share=0.05, few=100)
@given(x=anything, y=anything, color=anything)
def test_hints(x, y, color):
    if hint := outcome(lambda: Hint(x, y, color), UserError):
        assert np.isfinite(hint.ab).all()
