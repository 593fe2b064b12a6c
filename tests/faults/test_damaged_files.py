"""A flipped bit in any file that a stage made is found by the stage that reads it, or changes nothing."""

import json
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tintype.config import Features, Generator, Preprocess
from tintype.data.cache import SPLITS, LabCache
from tintype.data.cache_builder import build_cache
from tintype.data.curation import write_table
from tintype.errors import UserError
from tintype.features import load_features, make_features
from tintype.features.reference import load_reference, write_reference
from tintype.files import sha256_of, verified, write_sums
from tintype.models import build_generator, load_generator, save_generator
from tintype.training.checkpoints import Checkpoints

FLIPS = 15


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A Lab cache, features and weights, each as its stage makes it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "raw/photos").mkdir(parents=True)
    rows = []
    for i in range(6):
        coarse = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32)).save(path := folder / f"raw/photos/{i}.png")
        rows.append((path.name, "ab"[i % 2], SPLITS[i % 3], sha256_of(path)))
    write_table(folder / "manifest.csv", ("path", "class", "split", "sha256"), rows)
    build_cache(folder / "raw", folder / "manifest.csv", Preprocess(image_size=32), 10**6, folder / "lab")
    make_features(Features.model_validate({}), folder / "features")
    write_reference(LabCache.open(folder / "lab").split("test"), folder / "features", ("rgb",), "cpu")
    config = Generator(filters=4, depth=3)
    save_generator(folder / "models/row", build_generator(config, 0, 32), config=config, classes=[], image_size=32)
    return folder


def open_cache(folder: Path) -> object:
    cache = LabCache.open(folder)
    return [cache, *((s.codes.tobytes(), s.labels.tolist(), s.names) for s in map(cache.split, SPLITS))]


def open_reference(folder: Path) -> object:
    return {name: value.tolist() for name, value in load_reference(folder, "cpu").embeddings.items()}


def open_weights(folder: Path) -> object:
    generator, card = load_generator(folder)
    return card, {name: value.tolist() for name, value in generator.state_dict().items()}


@pytest.mark.parametrize(
    ("folder", "opens", "stage"),
    [
        ("lab", open_cache, "preprocess"),
        ("features", open_reference, "features"),
        ("models/row", open_weights, "train@row"),
    ],
)
def test_a_flipped_bit_is_found(made, folder, opens: Callable[[Path], object], stage):
    """In every file of the folder, and in the list of hashes itself."""
    rng, want, unread = random.Random(1), opens(made / folder), {"perceptual.json"}  # only training reads it
    for path in sorted((made / folder).iterdir()):
        whole = path.read_bytes()
        found, flips = 0, FLIPS if len(whole) < 10**6 else 2
        for _ in range(flips):
            at = rng.randrange(len(whole))
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
            try:
                assert opens(made / folder) == want
            except UserError as told:
                found += 1
                assert re.fullmatch(rf".*(damaged|no such file).*`dvc checkout`.*`dvc repro -s -f {stage}`", str(told))  # noqa: PT017
        path.write_bytes(whole)
        assert found == flips or path.name in {*unread, "SHA256SUMS"}, path
        assert found or path.name in unread, path
    assert opens(made / folder) == want


def test_the_hashes_are_sha256sums(made):
    """An independent program finds the files sound."""
    for folder in ("lab", "features", "models/row"):
        files = {path.name for path in (made / folder).iterdir()} - {"SHA256SUMS"}
        done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=made / folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert {line.split(":")[0] for line in done.stdout.splitlines()} == files


def test_missing_files_are_named(tmp_path):
    (tmp_path / "manifest.csv").write_text("path\n")
    with pytest.raises(UserError, match=r"SHA256SUMS: no such file; delete .*`dvc repro -s -f filter`"):
        verified(tmp_path / "manifest.csv", "filter")
    write_sums(tmp_path)
    assert verified(tmp_path / "manifest.csv", "filter") == tmp_path / "manifest.csv"
    (tmp_path / "manifest.csv").unlink()
    with pytest.raises(UserError, match=r"manifest\.csv: no such file"):
        verified(tmp_path / "manifest.csv", "filter")


def test_a_missing_network_is_not_taken_for_one_that_nobody_asked_for(made, tmp_path):
    assert load_features(made / "features") is not None
    text = (made / "features/SHA256SUMS").read_text()
    (tmp_path / "SHA256SUMS").write_text(text + f"{'0' * 64}  inception_torchvision.safetensors\n")
    for path in (made / "features").glob("[!S]*"):
        (tmp_path / path.name).symlink_to(path)
    with pytest.raises(UserError, match=r"inception_torchvision\.safetensors: no such file"):
        load_reference(tmp_path, "cpu")


def test_a_flipped_bit_in_a_checkpoint_is_never_resumed(tmp_path, capsys):
    """It is set aside, or it is in what the format does not use, and the state is the same."""
    path, rng = tmp_path / "row.pt", random.Random(2)
    torch.manual_seed(1)
    state = {"weights": torch.randn(300), "step": 7, "curves": [{"phase": "generator", "l1": 0.25}]}
    Checkpoints(path, "k" * 64, 0).save(state, "after epoch 1")
    whole, found = path.read_bytes(), 0
    for at in sorted(rng.sample(range(len(whole)), 400)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        resumed = Checkpoints(path, "k" * 64, 0).load()
        if resumed is None:
            found += 1
            assert "set aside as row.pt.damaged; training starts over" in capsys.readouterr().err
            assert (tmp_path / "row.pt.damaged").exists()
        else:
            assert torch.equal(resumed.pop("weights"), state["weights"])
            assert json.dumps(resumed) == json.dumps({k: v for k, v in state.items() if k != "weights"})
    assert found > 200
