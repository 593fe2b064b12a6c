"""Photos from a folder or from the sample, with every kind of name and of mistake."""

import os
import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tintype.config import Data
from tintype.data.curation import read_table, write_table
from tintype.data.sources import SOURCES, count_photos, download
from tintype.errors import UserError

NAMES = (
    "roses/one.jpg",
    "roses/deep/two.JPEG",
    "tulips/with space, comma.png",
    'tulips/"quoted"\nover two lines.webp',
    "Blüten 花/ü\r.tif",
    " padded /a.bmp",
    "top.gif",
)


def put(origin: Path, *names: str) -> None:
    """Files by these names, each with a content of its own."""
    for name in names:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes(name.encode())


def data(**changes) -> Data:
    return Data(**({"source": "folder", "origin": "photos"} | changes))


def listed(out: Path) -> dict[str, str]:
    return {row["path"]: row["class"] for row in read_table(out / "labels.csv")}


def test_every_source_of_the_params_is_there():
    assert set(SOURCES) == set(Data.model_fields["source"].annotation.__args__)


def test_a_tree(tmp_path, caplog):
    origin = tmp_path / "photos"
    put(origin, *NAMES)
    put(origin, "roses/notes.txt", "Thumbs.db", ".hidden.jpg", "roses/._one.jpg", ".cache/three.jpg")
    assert download(data(), tmp_path / "raw", tmp_path) == len(NAMES)
    assert listed(tmp_path / "raw") == {name: name.split("/")[0] if "/" in name else "" for name in NAMES}
    copied = {
        p.relative_to(tmp_path / "raw/photos").as_posix(): p
        for p in (tmp_path / "raw/photos").rglob("*")
        if p.is_file()
    }
    assert set(copied) == set(NAMES)
    for name, path in copied.items():
        assert path.read_bytes() == name.encode()
        assert not path.is_symlink()
        assert path.stat().st_nlink == 1
    assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == [
        "files left out, as their names are not those of photos: 2"
    ]


def test_the_list_is_sorted_and_a_second_download_replaces_the_first(tmp_path):
    put(tmp_path / "photos", "b/2.jpg", "a/1.jpg", "c.jpg")
    download(data(), tmp_path / "raw", tmp_path)
    assert (tmp_path / "raw/labels.csv").read_bytes() == b"path,class\r\na/1.jpg,a\r\nb/2.jpg,b\r\nc.jpg,\r\n"
    (tmp_path / "photos/a/1.jpg").unlink()
    assert download(data(), tmp_path / "raw", tmp_path) == 2
    assert not (tmp_path / "raw/photos/a/1.jpg").exists()


def test_flat_and_read_only(tmp_path):
    put(tmp_path / "photos", "1.jpg", "2.jpg")
    (tmp_path / "photos/1.jpg").chmod(0o444)
    download(data(), tmp_path / "raw", tmp_path)
    assert listed(tmp_path / "raw") == {"1.jpg": "", "2.jpg": ""}
    assert os.access(tmp_path / "raw/photos/1.jpg", os.W_OK)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_a_name_that_no_csv_can_hold_is_left_out(tmp_path, caplog):
    put(tmp_path / "photos", "1.jpg")
    (Path(os.fsdecode(bytes(tmp_path / "photos") + b"/\xff.jpg"))).write_bytes(b"")
    assert download(data(), tmp_path / "raw", tmp_path) == 1
    assert "left out" in caplog.text


def test_links(tmp_path):
    put(tmp_path / "photos", "roses/1.jpg")
    put(tmp_path / "elsewhere", "2.jpg")
    (tmp_path / "photos/roses/up").symlink_to("..")
    (tmp_path / "photos/self").symlink_to(".")
    (tmp_path / "photos/tulips").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/dead.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "photos/round.jpg").symlink_to("round.jpg")
    download(data(), tmp_path / "raw", tmp_path)
    assert listed(tmp_path / "raw") == {"roses/1.jpg": "roses", "tulips/2.jpg": "tulips"}
    assert not (tmp_path / "raw/photos/tulips").is_symlink()


def test_a_csv_gives_the_classes(tmp_path):
    put(tmp_path / "photos", "x/1.jpg", "x/2.jpg", "x/3.photo", "x/4.jpg")
    rows = [("x/1.jpg", "rose"), ("./x/2.jpg", "tulip, red"), ("x/3.photo", "")]
    write_table(tmp_path / "photos/labels.csv", ("path", "class"), rows)
    content = (tmp_path / "photos/labels.csv").read_bytes()
    (tmp_path / "photos/labels.csv").write_bytes(b"\xef\xbb\xbf" + content)  # as Excel saves it
    assert download(data(labels="labels.csv"), tmp_path / "raw", tmp_path) == 3
    assert listed(tmp_path / "raw") == {"x/1.jpg": "rose", "x/2.jpg": "tulip, red", "x/3.photo": ""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"data\.labels = 'labels\.csv': No such file or directory; looked for .*photos/labels\.csv"),
        (b"", r"no column 'class'; needed are path,class, found"),
        (b"path;class\n1.jpg;a\n", r"no column 'class'; needed are path,class, found path;class"),
        (b"file,class\n1.jpg,a\n", r"no column 'path'; needed are path,class, found file,class"),
        (b"path,class\n1.jpg,a\n2.jpg,a\n", r"'2\.jpg': no such file below data\.origin"),
        (b"path,class\n1.jpg,a\n1.jpg,b\n", r"'1\.jpg' is listed twice"),
        (b"path,class\n../secret.jpg,a\n", r"'\.\./secret\.jpg' is not below data\.origin"),
        (b"path,class\n/etc/passwd,a\n", r"'/etc/passwd' is not below data\.origin"),
        (b"class,path\na\n", r"None: no such file below data\.origin"),
        (b"path,class\n1.jpg,\xe9t\xe9\n", r"not a CSV in UTF-8"),
        (b"path,class\n", r"data\.origin = 'photos': no photos in it"),
    ],
)
def test_a_csv_that_cannot_be_used(tmp_path, content, message):
    put(tmp_path, "secret.jpg")
    put(tmp_path / "photos", "1.jpg")
    if content is not None:
        (tmp_path / "photos/labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        download(data(labels="labels.csv"), tmp_path / "raw", tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw/labels.csv").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"origin": "../x"}, r"^data\.origin = '\.\./x': no such folder$"),
        ({"origin": "file.jpg"}, r"data\.origin = 'file\.jpg': no such folder"),
        ({"origin": "empty"}, r"data\.origin = 'empty': no photos in it \(avif, bmp, gif, heic, heif, "),
        ({"origin": "."}, r"data\.origin = '\.': holds this project itself"),
        ({"source": "sample", "labels": "a.csv"}, r"data\.labels = 'a\.csv': the sample has its own classes"),
    ],
)
def test_what_cannot_be(tmp_path, config, message):
    put(tmp_path, "file.jpg", "empty/read.me")
    with pytest.raises(UserError, match=message):
        download(data(**config), tmp_path / "raw", tmp_path)


def test_counts(tmp_path):
    put(tmp_path / "photos", "a/1.jpg", "a/2.jpg", "b/3.jpg", "4.jpg")
    assert count_photos(tmp_path / "photos", None) == (4, 2, {})
    write_table(tmp_path / "photos/labels.csv", ("path", "class"), [("4.jpg", "c")])
    assert count_photos(tmp_path / "photos", "labels.csv") == (1, 1, {})
    with pytest.raises(UserError, match=r"data\.origin = '.*nowhere': no such folder"):
        count_photos(tmp_path / "nowhere", None)


def test_counts_of_a_tree_that_is_split(tmp_path):
    put(tmp_path / "photos", "train/a/1.jpg", "train/b/2.jpg", "train/3.jpg", "val/a/4.jpg", "sources.csv")
    assert count_photos(tmp_path / "photos", None) == (4, 2, {})  # classes of these names: there is no test
    put(tmp_path / "photos", "test/c/5.jpg")
    assert count_photos(tmp_path / "photos", None) == (5, 3, {"train": 3, "validation": 1, "test": 1})
    put(tmp_path / "photos", "other/6.jpg")
    assert count_photos(tmp_path / "photos", None) == (6, 4, {})


def test_limit_draws_from_every_folder_of_a_split(tmp_path):
    put(tmp_path / "photos", *(f"train/{i}.jpg" for i in range(40)), *(f"test/{i % 3}/{i}.jpg" for i in range(20)))
    download(data(limit=15), tmp_path / "raw", tmp_path)
    assert Counter(path.split("/")[0] for path in listed(tmp_path / "raw")) == {"train": 10, "test": 5}


def test_limit_draws_by_class_and_by_seed(tmp_path):
    put(tmp_path / "photos", *(f"a/{i}.jpg" for i in range(40)), *(f"b/{i}.jpg" for i in range(20)))
    drawn = {}
    for seed in (1, 1, 2):
        assert download(data(limit=15, seed=seed), tmp_path / "raw", tmp_path) == 15
        rows = listed(tmp_path / "raw")
        assert Counter(rows.values()) == {"a": 10, "b": 5}
        assert len([p for p in (tmp_path / "raw/photos").rglob("*") if p.is_file()]) == 15
        assert drawn.setdefault(seed, rows) == rows
    assert drawn[1] != drawn[2]
    assert download(data(limit=100), tmp_path / "raw", tmp_path) == 60


def test_limit_does_not_depend_on_the_order_of_the_csv(tmp_path):
    names = [f"{i}.jpg" for i in range(20)]
    put(tmp_path / "photos", *names)
    drawn = []
    for rows in (names, names[::-1]):
        write_table(tmp_path / "photos/labels.csv", ("path", "class"), [(name, "a") for name in rows])
        download(data(labels="labels.csv", limit=7), tmp_path / "raw", tmp_path)
        drawn.append(listed(tmp_path / "raw"))
    assert drawn[0] == drawn[1]


@pytest.fixture
def drawing(monkeypatch) -> None:
    """A sample of twelve photos in place of the real one."""

    def draw_sample(out: Path, seed: int = 1) -> None:
        for i in range(12):
            path = out / "ab"[i % 2] / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), i + seed, np.uint8)).save(path)

    module = types.ModuleType("tintype.data.sample")
    module.draw_sample = draw_sample
    monkeypatch.setitem(sys.modules, "tintype.data.sample", module)


@pytest.mark.usefixtures("drawing")
def test_sample(tmp_path):
    config = data(source="sample", origin="sample.py", seed=3)
    assert download(config, tmp_path / "raw", tmp_path) == 12
    assert Counter(listed(tmp_path / "raw").values()) == {"a": 6, "b": 6}
    with Image.open(tmp_path / "raw/photos/a/4.jpg") as image:
        assert image.getpixel((0, 0)) == (7, 7, 7)
    assert download(config.model_copy(update={"limit": 4}), tmp_path / "raw", tmp_path) == 4
    files = {p.relative_to(tmp_path / "raw/photos").as_posix() for p in (tmp_path / "raw/photos").rglob("*.jpg")}
    assert files == set(listed(tmp_path / "raw"))
