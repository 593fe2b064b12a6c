"""Damaged model files: each is refused by one line that names it, or is a model that answers finite chroma."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutation import cases, mutated, outcome
from onnx import TensorProto, helper

from tintype.errors import UserError
from tintype.inference.backends import load_backend
from tintype.inference.onnx_metadata import METADATA, Metadata
from tintype.models.storage import load_generator

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([10**9, -(10**9), 10**400, 2**63, 2**64, 0.5, 1e308]),
    st.floats(),
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def changed(draw, values):
    """Draw JSON of a dict with some values replaced, some left out, and some added."""
    values = json.loads(json.dumps(values))
    for _ in range(draw(st.integers(1, 3))):
        place = values
        key = draw(st.sampled_from([*sorted(place), "new"]))
        while isinstance(place.get(key), dict) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from([*sorted(place), "new"]))
        if draw(st.booleans()):
            place[key] = draw(anything)
        else:
            place.pop(key, None)
    return json.dumps(values)


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed") / "model"
    folder.mkdir()
    for name in ("generator.json", "generator.safetensors"):
        (folder / name).write_bytes((weights / name).read_bytes())
    return folder, json.loads((weights / "generator.json").read_text()), (weights / "generator.json").read_bytes()


def load(folder):
    if loaded := outcome(lambda: load_generator(folder), ValueError):
        assert 1 <= loaded[1].image_size <= 1024


@cases(share=0.05, few=40)
@given(data=st.data())
def test_cards_with_other_values(folder, data):
    path, card, _ = folder
    (path / "generator.json").write_text(data.draw(changed(card)))
    load(path)


@cases(share=0.05, few=40)
@given(data=st.data())
def test_damaged_cards(folder, data):
    path, _, content = folder
    (path / "generator.json").write_bytes(data.draw(mutated({"card": content})))
    load(path)


def tiny(metadata):
    """An ONNX file whose network answers a hundredth of the lightness in both planes."""
    shape = ["batch", 1, "height", "width"]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["lightness", "w"], ["x"]), helper.make_node("Concat", ["x", "x"], ["ab"], axis=1)],
        "tiny",
        [helper.make_tensor_value_info("lightness", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("ab", TensorProto.FLOAT, [shape[0], 2, *shape[2:]])],
        [helper.make_tensor("w", TensorProto.FLOAT, [1], [0.01])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA: metadata})
    return model.SerializeToString()


SOUND = {"name": "tiny", "image_size": 32, "stride": 1, "dropouts": [], "version": "0.1.0", "chroma_stride": 1}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzed") / "tiny.onnx"


def run(file):
    if backend := outcome(lambda: load_backend(file, device="cpu"), UserError):
        chroma = backend(np.full((1, 1, 32, 32), 50, np.float32))
        assert chroma.shape == (1, 2, 32, 32)
        assert np.isfinite(chroma).all()


@cases(share=0.05, few=40)
@given(text=changed(SOUND))
def test_onnx_metadata_with_other_values(file, text):
    file.write_bytes(tiny(text))
    run(file)


@cases(share=0.05, few=40)
@given(text=st.one_of(st.text(), anything.map(json.dumps), mutated({"m": json.dumps(SOUND).encode()})))
def test_onnx_metadata_that_is_anything(text):
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    with contextlib.suppress(ValueError):
        assert 1 <= Metadata.from_json(text).image_size <= 1024


@cases(share=0.05, few=40)
@given(content=mutated({"tiny": tiny(json.dumps(SOUND))}))
def test_damaged_onnx_files(file, content):
    """Without the hash that tintype's own files end with."""
    file.write_bytes(content)
    run(file)
