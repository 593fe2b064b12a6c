"""Public datasets: fetched from a server in all its moods, unpacked, labeled, drawn from; and own copies of them."""

import hashlib
import importlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from server import Server
from torchvision.datasets import Flowers102

from tintype import download as fetching
from tintype.config import Data
from tintype.data import sources
from tintype.data.curation import read_table, write_table
from tintype.data.sources import SOURCES, download
from tintype.data.sources.places205 import scene_of
from tintype.data.sources.published_files import Archive, fetch
from tintype.errors import UserError

MODULES = Path(sources.__file__).parent
CONTENT = np.random.default_rng(0).bytes(100_000)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TINTYPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    with Server() as server:
        yield server


@pytest.fixture
def archive(server) -> Archive:
    server.files["a.bin"] = CONTENT
    return Archive("coco8k", "https://example.org/license", server.url + "a.bin", hashlib.md5(CONTENT).hexdigest())


def beside(archive: Archive) -> set[str]:
    return {path.name for path in archive.path.parent.iterdir()} - {"a.bin.lock"}


# Fetching


def test_once(archive, server, tmp_path):
    assert fetch(archive) == tmp_path / "cache/coco8k/a.bin"
    assert fetch(archive).read_bytes() == CONTENT
    assert server.asked == [("a.bin", None)]
    assert beside(archive) == {"a.bin"}


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    archive = Archive("coco8k", "", "http://x/y/a.bin", "")
    for name, value, where in (
        ("HOME", "/home/ada", "/home/ada/.cache/tintype/coco8k/a.bin"),
        ("XDG_CACHE_HOME", "/caches", "/caches/tintype/coco8k/a.bin"),
        ("TINTYPE_CACHE", "~/big", "/home/ada/big/coco8k/a.bin"),
    ):
        if name == "HOME":
            monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
            monkeypatch.delenv("TINTYPE_CACHE", raising=False)
        monkeypatch.setenv(name, value)
        assert archive.path == Path(where)


def test_a_sha256(archive, server):
    fetch(Archive(archive.source, archive.page, archive.url, hashlib.sha256(CONTENT).hexdigest()))


def test_a_connection_that_breaks_off_is_resumed(archive, server):
    server.breaks = [30_000, 20_000]
    assert fetch(archive).read_bytes() == CONTENT
    assert server.asked == [("a.bin", None), ("a.bin", "bytes=30000-"), ("a.bin", "bytes=50000-")]


def test_more_breaks_than_tries_do_not_matter_while_each_brings_something(archive, server):
    server.breaks = [5_000] * 15
    assert fetch(archive).read_bytes() == CONTENT


def test_a_server_that_brings_nothing_more_is_given_up(archive, server):
    server.breaks = [30_000] + [0] * 100
    with pytest.raises(UserError, match=r"the connection broke off after 30000 of 100000 bytes"):
        fetch(archive)
    assert len(server.asked) == 1 + fetching.TRIES
    assert beside(archive) == {"a.bin.part", "a.bin.part.tag"}
    server.breaks = []
    assert fetch(archive).read_bytes() == CONTENT  # the next run goes on
    assert server.asked[-1] == ("a.bin", "bytes=30000-")


def test_a_server_without_ranges_is_asked_for_all_again(archive, server):
    server.ranges, server.breaks = False, [30_000, 40_000]
    assert fetch(archive).read_bytes() == CONTENT
    assert [span for _, span in server.asked] == [None, "bytes=30000-", "bytes=40000-"]


@pytest.mark.parametrize("size", [100_000, 20_000])
def test_a_file_that_changes_in_between_is_begun_anew(archive, server, size):
    server.breaks = [30_000] + [0] * 100
    with pytest.raises(UserError):
        fetch(archive)
    new = CONTENT[::-1][:size]
    server.files["a.bin"], server.etag, server.breaks, server.asked = new, '"2"', [], []
    new_archive = Archive(archive.source, archive.page, archive.url, hashlib.md5(new).hexdigest())
    assert fetch(new_archive).read_bytes() == new
    assert [span for _, span in server.asked] == ["bytes=30000-", None]


def test_a_whole_file_that_has_no_name_yet(archive, server):
    """Killed after the last byte."""
    archive.path.parent.mkdir(parents=True)
    archive.path.with_name("a.bin.part").write_bytes(CONTENT)
    archive.path.with_name("a.bin.part.tag").write_text('"1"')
    assert fetch(archive).read_bytes() == CONTENT
    assert server.asked == [("a.bin", "bytes=100000-")]


def test_wrong_bytes_are_never_taken(archive, server):
    server.files["a.bin"] = CONTENT[:-1] + b"?"
    with pytest.raises(UserError, match=r"is not the published file: its md5 is \w{32}, not \w{32}") as caught:
        fetch(archive)
    assert "\n" not in str(caught.value)
    assert beside(archive) == set()
    server.files["a.bin"] = CONTENT
    assert fetch(archive).read_bytes() == CONTENT


def test_a_file_put_there_by_hand(archive, server):
    archive.path.parent.mkdir(parents=True)
    archive.path.write_bytes(b"an error page")
    with pytest.raises(UserError, match=r"a\.bin is not the published file"):
        fetch(archive)
    assert archive.path.read_bytes() == b"an error page"  # it is the user's
    archive.path.write_bytes(CONTENT)
    fetch(archive)
    assert server.asked == []


def test_what_is_not_there_names_the_page_and_the_path(archive, server):
    server.files.clear()
    with pytest.raises(UserError) as caught:
        fetch(archive)
    assert str(caught.value) == (
        "data.source = 'coco8k': no usable a.bin (HTTP Error 404: Not Found); try again, or read "
        f"https://example.org/license for what its license allows, download {server.url}a.bin and put it into "
        f"{archive.path.parent}"
    )
    assert len(server.asked) == 1


def test_a_server_that_stalls(archive, server, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    server.stalls, server.breaks = True, [30_000]
    assert fetch(archive).read_bytes() == CONTENT
    assert server.asked == [("a.bin", None), ("a.bin", "bytes=30000-")]
    archive.path.unlink()
    server.breaks = [0]
    with pytest.raises(UserError, match=r"\(.*timed out\)"):
        fetch(archive)


@pytest.mark.usefixtures("server")
def test_no_network():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        archive = Archive("coco8k", "page", f"http://127.0.0.1:{closed.getsockname()[1]}/a.bin", "")
        with pytest.raises(UserError, match=r"no usable a\.bin \(\[Errno \d+\] Connection refused\)"):
            fetch(archive)


def test_a_disk_that_is_full(archive, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(
        UserError, match=r"TINTYPE_CACHE = '.*': .*coco8k has \d+ bytes free, a\.bin needs [\d.]+ \w+ more"
    ):
        fetch(archive)


def test_two_projects_download_once(archive, server):
    server.breaks = [1000] * 20
    threads = [threading.Thread(target=fetch, args=[archive]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert archive.path.read_bytes() == CONTENT
    assert [span for _, span in server.asked].count(None) == 1


def test_a_killed_download_goes_on(archive, server):
    server.stalls, server.breaks = True, [30_000]
    code = f"from tintype.data.sources.published_files import *; fetch({archive!r})"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ)
    part = archive.path.with_name("a.bin.part")
    while not (part.exists() and part.stat().st_size == 30_000):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert beside(archive) == {"a.bin.part", "a.bin.part.tag"}
    assert fetch(archive).read_bytes() == CONTENT
    assert server.asked == [("a.bin", None), ("a.bin", "bytes=30000-")]


# Datasets


def jpeg(number: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), number % 256, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def tar(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def data(source: str, **changes) -> Data:
    return Data(**({"source": source, "origin": str(MODULES / f"{source}.py")} | changes))


def put(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg(number))


def listed(project: Path) -> dict[str, str]:
    """What labels.csv says, once the files are seen to be those, and photos."""
    photos = project / "raw/photos"
    rows = {row["path"]: row["class"] for row in read_table(project / "raw/labels.csv")}
    assert {path.relative_to(photos).as_posix() for path in photos.rglob("*") if path.is_file()} == set(rows)
    for path in rows:
        with Image.open(photos / path) as image:
            image.load()
    return rows


FLOWERS = [3, 1, 1, 102, 3, 60, 1, 3, 60, 102, 1, 1]  # of image_00001.jpg and so on


@pytest.fixture
def flowers(server, monkeypatch):
    """Oxford's three files, twelve flowers."""
    files = {f"jpg/image_{i:05d}.jpg": jpeg(i) for i in range(1, 13)}
    server.files["102flowers.tgz"] = tar(files)
    for name, arrays in {
        "imagelabels.mat": {"labels": [FLOWERS]},
        "setid.mat": {"trnid": [[1, 4, 7, 8]], "valid": [[2, 5, 9, 10]], "tstid": [[3, 6, 11, 12]]},
    }.items():
        content = io.BytesIO()
        savemat(content, {key: np.array(value, np.uint8) for key, value in arrays.items()})
        server.files[name] = content.getvalue()
    monkeypatch.setattr(Flowers102, "_download_url_prefix", server.url)
    names = {"image": "102flowers.tgz", "label": "imagelabels.mat", "setid": "setid.mat"}
    monkeypatch.setattr(Flowers102, "_file_dict", {k: (name, md5(server.files[name])) for k, name in names.items()})
    return files


def test_flowers102_agrees_with_torchvision(flowers, server, tmp_path):
    assert download(data("flowers102"), tmp_path / "raw", tmp_path) == 12
    assert [name for name, _ in server.asked] == ["imagelabels.mat", "102flowers.tgz"]
    theirs = {}
    for split in ("train", "val", "test"):
        dataset = Flowers102(tmp_path / "torchvision", split, download=True)
        for path, label in zip(dataset._image_files, dataset._labels, strict=True):
            theirs[path.name] = Flowers102.classes[label]
            assert (tmp_path / "raw/photos" / path.name).read_bytes() == path.read_bytes()
    assert listed(tmp_path) == theirs
    assert theirs["image_00002.jpg"] == "pink primrose"  # class 1


def test_flowers102_in_part(flowers, tmp_path):
    assert download(data("flowers102", classes=2, limit=4, seed=5), tmp_path / "raw", tmp_path) == 4
    rows = listed(tmp_path)
    assert len(set(rows.values())) == 2


def test_the_draw_is_seeded_and_knows_no_order(flowers, server, monkeypatch, tmp_path):
    draws = {}
    for files in (flowers, dict(reversed(flowers.items()))):
        server.files["102flowers.tgz"] = tar(files)
        monkeypatch.setitem(Flowers102._file_dict, "image", ("102flowers.tgz", md5(server.files["102flowers.tgz"])))
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        for seed in (1, 2, 3):
            download(data("flowers102", limit=6, seed=seed), tmp_path / "raw", tmp_path)
            rows = listed(tmp_path)
            assert draws.setdefault(seed, rows) == rows
    assert len({frozenset(rows) for rows in draws.values()}) > 1


def test_a_project_shares_what_another_has_downloaded(flowers, server, tmp_path):
    for project in (tmp_path / "one", tmp_path / "two"):
        download(data("flowers102"), project / "raw", project)
    assert len(server.asked) == 2


def test_an_archive_without_its_photos(flowers, server, monkeypatch, tmp_path):
    flowers.pop("jpg/image_00007.jpg")
    server.files["102flowers.tgz"] = tar(flowers)
    monkeypatch.setitem(Flowers102._file_dict, "image", ("102flowers.tgz", md5(server.files["102flowers.tgz"])))
    with pytest.raises(UserError, match=r"102flowers\.tgz: lacks 1 of 12 photos, as 'jpg/image_00007\.jpg'"):
        download(data("flowers102"), tmp_path / "raw", tmp_path)
    assert not (tmp_path / "raw/labels.csv").exists()


@pytest.fixture
def coco(server, monkeypatch):
    """The COCO sample's archive: ten photos, and what is none of ours."""

    def serve(files: dict[str, bytes]) -> None:
        server.files["coco_sample.tgz"] = content = tar(files)
        module = importlib.import_module("tintype.data.sources.coco8k")
        digest = hashlib.sha256(content).hexdigest()
        url = server.url + "coco_sample.tgz"
        monkeypatch.setattr(module, "ARCHIVE", Archive("coco8k", module.ARCHIVE.page, url, digest))

    files = {f"coco_sample/train_sample/{i:012d}.jpg": jpeg(i) for i in range(10)}
    files |= {"coco_sample/annotations/train_sample.json": b"{}", "coco_sample/train_sample/read.me": b""}
    serve(files)
    return serve, files


def test_coco8k(coco, tmp_path):
    assert download(data("coco8k", limit=6), tmp_path / "raw", tmp_path) == 6
    rows = listed(tmp_path)
    assert set(rows.values()) == {""}

    serve, files = coco
    serve({f"./{name}": content for name, content in reversed(files.items())})
    shutil.rmtree(tmp_path / "cache")
    download(data("coco8k", limit=6), tmp_path / "raw", tmp_path)
    assert listed(tmp_path) == rows

    put(tmp_path / "train_sample", *(f"{i:012d}.jpg" for i in range(10)))  # an own copy gives the same draw
    download(data("coco8k", limit=6, origin="train_sample"), tmp_path / "raw", tmp_path)
    assert listed(tmp_path) == rows


def test_nothing_is_written_outside(coco, tmp_path):
    serve, files = coco
    bad = ("coco_sample/train_sample/../../../evil.jpg", "/tmp/evil.jpg", "coco_sample/train_sample/..", "../evil.jpg")
    serve(files | {name: jpeg(0) for name in bad})
    assert download(data("coco8k"), tmp_path / "raw", tmp_path) == 10
    listed(tmp_path)
    assert not list(tmp_path.rglob("evil*"))


def test_links_in_an_archive_are_not_followed(tmp_path):
    from tintype.data.sources.archives import extract, names_in

    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("1.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert names_in(tmp_path / "a.tar") == []
    with pytest.raises(UserError, match=r"lacks 1 of 1 photos, as '1\.jpg'"):
        extract(tmp_path / "a.tar", {"1.jpg": "1.jpg"}, tmp_path / "out")


def test_coco8k_has_no_classes(coco, tmp_path):
    with pytest.raises(UserError, match=r"^data\.classes = 2: these photos have 0 classes; null takes all$"):
        download(data("coco8k", classes=2), tmp_path / "raw", tmp_path)


def test_the_published_addresses_and_hashes():
    """As their publishers' pages and fastai have them, in torchvision's words; nothing is fetched."""
    flowers, coco = (importlib.import_module(f"tintype.data.sources.{name}") for name in ("flowers102", "coco8k"))
    archives = {
        flowers._archive("label"): ("/vgg/data/flowers/102/imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
        flowers._archive("image"): ("/vgg/data/flowers/102/102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
        coco.ARCHIVE: (
            "/fast-ai-coco/coco_sample.tgz",
            "56960c0ac09ff35cd8588823d37e1ed0954cb88b8bfbd214a7763e72f982911c",
        ),
    }
    for archive, (url, digest) in archives.items():
        assert archive.url.replace("~", "").endswith(url)
        assert archive.digest == digest


# Own copies


@pytest.mark.parametrize("source", ["flowers102", "coco8k"])
def test_an_own_copy_is_not_downloaded(source, server, tmp_path):
    put(tmp_path / "mine", "a/rose/1.jpg", "a/tulip/2.jpg")
    assert download(data(source, origin="mine"), tmp_path / "raw", tmp_path) == 2
    assert (
        sorted(listed(tmp_path).values())
        == {
            "flowers102": ["a", "a"],
            "coco8k": ["", ""],
        }[source]
    )
    assert server.asked == []


@pytest.mark.parametrize("source", ["flowers102", "coco8k"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"origin": "nowhere"},
            r"^data\.origin = 'nowhere': no such folder; allowed: .* \(src/.*/{}\.py of the checkout",
        ),
        ({"labels": "a.csv"}, r"^data\.labels = 'a\.csv': for a folder of your own; where {} is downloaded, null$"),
    ],
)
def test_what_cannot_be_downloaded(source, changes, message, server, tmp_path):
    with pytest.raises(UserError, match=message.format(source)):
        download(data(source, **changes), tmp_path / "raw", tmp_path)
    assert server.asked == []


@pytest.mark.parametrize(
    ("source", "page"),
    [
        ("places205", "https://www.kaggle.com/datasets/mittalshubham/images256"),
        ("imagenet4k", "https://image-net.org/download.php"),
        ("landscape", "https://www.kaggle.com/datasets/arnaud58/landscape-pictures"),
    ],
)
def test_what_is_got_by_hand(source, page, tmp_path):
    for wrong in ("no such folder", r"no photos in it \(avif, .*\)"):
        message = rf"^data\.origin = 'photos': {wrong}; see {page} for the photos and .* into {tmp_path}/photos$"
        with pytest.raises(UserError, match=message):
            download(data(source, origin="photos"), tmp_path / "raw", tmp_path)
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos/README.md").write_text("Put them here.")


def test_places205_in_folders(tmp_path):
    below = "data/vision/torralba/deeplearning/images256"
    put(tmp_path / "photos", f"{below}/a/abbey/1.jpg", f"{below}/a/apartment_building/outdoor/2.jpg")
    download(data("places205", origin="photos"), tmp_path / "raw", tmp_path)
    assert set(listed(tmp_path).values()) == {"abbey", "apartment_building/outdoor"}
    assert [scene_of(path) for path in ("abbey/1.jpg", "a/abbey/1.jpg", "1.jpg")] == ["abbey", "abbey", ""]


@pytest.mark.parametrize(
    "content",
    [
        "file_name,class\na/abbey/1.jpg,0\na/airport/2.jpg,1\n",
        ",class,file_name,split\n0,0,a/abbey/1.jpg,train\n1,1,a/airport/2.jpg,val\n",
        "path,label\r\na/abbey/1.jpg,0\r\na/airport/2.jpg,1",
        "a/abbey/1.jpg,0\na/airport/2.jpg,1\n\n",
        "\ufeffa/abbey/1.jpg 0\na/airport/2.jpg 1\n",
    ],
)
def test_places205_by_a_csv(content, tmp_path):
    put(tmp_path / "photos", "a/abbey/1.jpg", "a/airport/2.jpg", "a/airport/3.jpg")
    (tmp_path / "photos/files.csv").write_bytes(content.encode())
    download(data("places205", origin="photos", labels="files.csv"), tmp_path / "raw", tmp_path)
    assert listed(tmp_path) == {"a/abbey/1.jpg": "0", "a/airport/2.jpg": "1"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name,kind\na.jpg,1\n", r"no column for the class; needed are one of path, .*; found file_name,kind$"),
        ("file;class\na.jpg;1\n", r"'file;class': no such file below data\.origin"),
        ("class,picture\n1,a.jpg\n", r"no column for the path"),
        ("file_name,class\nb.jpg,1\n", r"'b\.jpg': no such file below data\.origin"),
        ("../../x.jpg,1\n", r"'\.\./\.\./x\.jpg' is not below data\.origin"),
        ("", r"data\.origin = 'photos': no photos in it"),
    ],
)
def test_places205_by_a_csv_that_cannot_be_used(content, message, tmp_path):
    put(tmp_path / "photos", "a.jpg")
    (tmp_path / "photos/files.csv").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        download(data("places205", origin="photos", labels="files.csv"), tmp_path / "raw", tmp_path)
    assert "\n" not in str(caught.value)


def test_imagenet4k_draws_synsets_and_then_photos(tmp_path, caplog):
    names = [f"n{synset:08d}/n{synset:08d}_{i}.JPEG" for synset in range(1, 7) for i in range(5)]
    put(tmp_path / "train", *names, "logo.png")
    drawn = {}
    for seed in (1, 2, 1):
        config = data("imagenet4k", origin="train", classes=3, limit=9, seed=seed)
        assert download(config, tmp_path / "raw", tmp_path) == 9
        assert sorted(Counter(listed(tmp_path).values()).values()) == [3, 3, 3]
        assert drawn.setdefault(seed, listed(tmp_path)) == listed(tmp_path)
    assert drawn[1] != drawn[2]
    assert "photos left out, as they are in no synset's folder: 1" in caplog.text
    with pytest.raises(UserError, match=r"^data\.classes = 7: these photos have 6 classes; null takes all$"):
        download(data("imagenet4k", origin="train", classes=7), tmp_path / "raw", tmp_path)


def test_imagenet4k_needs_synsets(tmp_path):
    put(tmp_path / "photos", "ILSVRC/Data/n01440764/1.JPEG", "cats/1.jpg", "dogs/1.jpg", "rats/1.jpg")
    message = r"no folders of synsets \(n01440764 and so on\) in it, but ILSVRC, cats, dogs and so on; allowed is"
    with pytest.raises(UserError, match=message):
        download(data("imagenet4k", origin="photos"), tmp_path / "raw", tmp_path)
    with pytest.raises(UserError, match=r"data\.labels = 'a\.csv': the folders of ImageNet are the classes"):
        download(data("imagenet4k", origin="photos", labels="a.csv"), tmp_path / "raw", tmp_path)


def test_landscape_is_any_folder(tmp_path):
    put(tmp_path / "photos", "1.jpg", "2.png")
    write_table(tmp_path / "photos/labels.csv", ("path", "class"), [("2.png", "hills")])
    assert download(data("landscape", origin="photos"), tmp_path / "raw", tmp_path) == 2
    assert download(data("landscape", origin="photos", labels="labels.csv"), tmp_path / "raw", tmp_path) == 1
    assert listed(tmp_path) == {"2.png": "hills"}


def test_classes_are_drawn_before_the_limit(tmp_path):
    put(tmp_path / "photos", *(f"{kind}/{i}.jpg" for kind in "abcde" for i in range(4)), "none.jpg")
    config = data("folder", origin="photos", classes=2)
    assert download(config, tmp_path / "raw", tmp_path) == 8
    chosen = set(listed(tmp_path).values())
    assert len(chosen) == 2
    assert download(config.model_copy(update={"limit": 4}), tmp_path / "raw", tmp_path) == 4
    assert Counter(listed(tmp_path).values()) == dict.fromkeys(chosen, 2)


def test_each_source_is_one_module():
    assert {path.stem for path in MODULES.glob("*.py")} >= set(SOURCES)


def test_the_docs_name_every_source():
    text = (MODULES.parents[3] / "docs/how-to/get-the-datasets.md").read_text()
    table = text.split("## ")[0].splitlines()
    assert {line.split("`")[1] for line in table if line.startswith("| `")} - {"data.source"} == set(SOURCES)
    for source in SOURCES.values():
        page = getattr(sys.modules[source.__module__], "PAGE", "")
        assert page in text
