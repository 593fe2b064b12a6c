"""Published weights, from a server of this machine: what is fetched, checked, kept and refused."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from server import Server

from tintype import download as fetching
from tintype.config import Features, Generator
from tintype.errors import UserError
from tintype.features.published_weights import PUBLISHED, SETTINGS, Published, fetch, fetch_weights
from tintype.files import sha256_of

KEY = "generator.weights"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "weights.pth"
    state = {"features.0.weight": torch.arange(6.0).view(2, 3).T, "features.0.bias": torch.ones(2), "fc": torch.ones(1)}
    torch.save(state, path)
    return path


@pytest.fixture
def server(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    with Server() as running:
        running.files["weights.pth"] = file.read_bytes()
        yield running


@pytest.fixture
def weights(server: Server, file: Path) -> Published:
    return Published(f"{server.url}weights.pth", sha256_of(file), prefix="features.")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch.hub; returns the folder where files go."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_the_published_files_are_those_their_own_packages_fetch():
    from pytorch_fid.inception import FID_WEIGHTS_URL

    assert {name: one.url for name, one in PUBLISHED.items()} == {
        "inception": FID_WEIGHTS_URL,
        "inception_torchvision": torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.url,
        "resnet18": torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url,
        "vgg16": torchvision.models.VGG16_Weights.IMAGENET1K_V1.url,
    }
    for one in PUBLISHED.values():
        in_name = one.file_name.removesuffix(".pth").rsplit("-", 1)[1]
        assert one.sha256.startswith(in_name)
        assert len(one.sha256) == 64


def test_every_setting_is_one_of_the_config():
    sections = {"features": Features, "generator": Generator}
    for key, values in SETTINGS.items():
        section, name = key.split(".")
        for value in values:
            typed = {"true": True, "false": False}.get(value, value.strip("'"))
            assert getattr(sections[section].model_validate({name: typed}), name) == typed


def test_the_second_time_nothing_is_downloaded(server, weights, hub):
    assert fetch(weights, KEY) == hub / "weights.pth"
    fetch(weights, KEY)
    assert server.asked == [("weights.pth", None)]


def test_a_download_that_breaks_off_goes_on(server, weights, hub, file):
    server.breaks = [400, *[0] * 100]
    with pytest.raises(UserError, match="the connection broke off after 400 of"):
        fetch(weights, KEY)
    assert not (hub / "weights.pth").exists()
    server.breaks = [300]
    assert fetch(weights, KEY).read_bytes() == file.read_bytes()
    assert server.asked[-2:] == [("weights.pth", "bytes=400-"), ("weights.pth", "bytes=700-")]


def test_only_what_is_used_is_read(weights, hub):
    found = fetch_weights(weights, KEY)
    assert set(found) == {"features.0.weight", "features.0.bias"}
    assert torch.equal(found["features.0.weight"], torch.tensor([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]))
    assert all(value.is_contiguous() for value in found.values())  # as safetensors wants it


def test_a_pickle_that_is_more_than_tensors_is_not_run(tmp_path, hub):
    hub.mkdir(parents=True)
    torch.save({"fc": Path("anything")}, hub / "more.pth")
    with pytest.raises(Exception, match="Weights only load failed"):
        fetch_weights(Published("http://127.0.0.1:9/more.pth", sha256_of(hub / "more.pth")), KEY)


def in_cache(hub: Path) -> set[str]:
    return {path.name for path in hub.glob("*") if path.suffix != ".lock"}


def refused(weights: Published, hub: Path, reason: str) -> None:
    """One line with key, value and reason, the file, where to get and to put it, what does without; nothing is left."""
    before = in_cache(hub)
    for key, (value, without) in SETTINGS.items():
        with pytest.raises(UserError, match=reason) as error:
            fetch(weights, key)
        message = str(error.value)
        assert "\n" not in message
        assert message.startswith(f"{key} = {value}: no usable {weights.file_name} (")
        assert f"download {weights.url} and put it into {hub}, or set {key} to {without}" in message
        assert in_cache(hub) == before


def test_wrong_bytes_are_refused(weights, hub):
    refused(Published(weights.url, "0" * 64), hub, "is not the published file: its sha256 is")


def test_wrong_bytes_in_the_cache_are_refused_and_kept(weights, hub):
    hub.mkdir(parents=True)
    (hub / "weights.pth").write_bytes(b"half of it")
    refused(weights, hub, "is not the published file: its sha256 is")
    assert [path.name for path in hub.iterdir()] == ["weights.pth"]  # it may be a folder that one may only read


def test_a_missing_file_is_refused(server, hub):
    refused(Published(f"{server.url}gone.pth", "0" * 64), hub, "HTTP Error 404")


def test_a_full_disk_is_told(weights, hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(UserError, match=rf"TORCH_HOME = '.*': {hub} has \d+ bytes free, weights\.pth needs"):
        fetch(weights, KEY)


def test_without_a_network(hub):
    """A closed port of this machine stands for the world."""
    refused(Published("http://127.0.0.1:9/weights.pth", "0" * 64), hub, "Connection refused")


def test_a_silent_server_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, says nothing
        refused(Published(f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pth", "0" * 64), hub, "timed out")
