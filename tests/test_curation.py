"""What is kept and why not, and the splits: hand-worked cases, and real photos where there are some."""

import csv
import hashlib
import io
import json
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tintype.config import Filter
from tintype.data.curation import curate, draw, read_table, stratified, write_table
from tintype.errors import UserError
from tintype.images.grayscale import is_gray

PHOTOS = Path(__file__).parents[1].parent / "shared/data/photos"


def scene(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Smooth colors, another scene for each seed."""
    corners = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    return np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR))


def put(raw: Path, name: str, image: np.ndarray | Image.Image | bytes, **options) -> Path:
    path = raw / "photos" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, bytes):
        path.write_bytes(image)
    else:
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def list_photos(raw: Path, shuffle: int | None = None) -> None:
    rows = [(path.relative_to(raw / "photos").as_posix()) for path in (raw / "photos").rglob("*") if path.is_file()]
    rows = [(path, path.split("/")[0] if "/" in path else "") for path in sorted(rows)]
    if shuffle is not None:
        random.Random(shuffle).shuffle(rows)
    write_table(raw / "labels.csv", ("path", "class"), rows)


@pytest.fixture
def raw(tmp_path) -> Path:
    """Ten photos of class a and twenty of class b."""
    for i in range(30):
        put(tmp_path / "raw", f"{'a' if i < 10 else 'b'}/{i:02}.png", scene(i))
    list_photos(tmp_path / "raw")
    return tmp_path / "raw"


def split_of_each(out: Path) -> dict[str, str]:
    return {row["sha256"]: row["split"] for row in read_table(out / "manifest.csv")}


def test_reasons(raw, tmp_path):
    gray = np.asarray(Image.fromarray(scene(1, 200, 300)).convert("L"))
    jpeg = io.BytesIO()
    Image.fromarray(scene(99)).save(jpeg, "JPEG")
    put(raw, "b/gray.png", Image.fromarray(gray))
    put(raw, "b/gray_rgb.jpg", np.stack([gray] * 3, axis=-1), quality=60)
    put(raw, "b/small.png", scene(98, 15, 200))
    put(raw, "b/large.png", scene(97, 101, 100))
    put(raw, "b/text.jpg", b"not a photo")
    put(raw, "b/empty.jpg", b"")
    put(raw, "b/cut.jpg", jpeg.getvalue()[:-200])
    shutil.copy(raw / "photos/a/00.png", raw / "photos/b/copy, of\n00.png")
    put(raw, "b/as_bmp.bmp", scene(0))
    list_photos(raw)

    summary = curate(raw, Filter(max_megapixels=0.01 + 0.05, min_side=16), tmp_path / "out")
    assert summary.rejected == {
        "duplicate": 2,
        "grayscale": 2,
        "not an image": 2,
        "too small": 1,
        "truncated": 1,
    }
    rejected = {row["path"]: row["reason"] for row in read_table(tmp_path / "out/rejected.csv")}
    assert rejected == {
        "b/as_bmp.bmp": "duplicate of a/00.png",
        "b/copy, of\n00.png": "duplicate of a/00.png",
        "b/cut.jpg": "truncated",
        "b/empty.jpg": "not an image",
        "b/gray.png": "grayscale",
        "b/gray_rgb.jpg": "grayscale",
        "b/small.png": "too small",
        "b/text.jpg": "not an image",
    }
    assert sum(summary.photos.values()) == 31

    summary = curate(raw, Filter(max_megapixels=0.01, min_side=1), tmp_path / "out")
    rejected = {row["path"]: row["reason"] for row in read_table(tmp_path / "out/rejected.csv")}
    assert {path for path, reason in rejected.items() if reason == "over the pixel limit"} == {
        "b/large.png",  # 10,100 pixels
        "b/gray.png",
        "b/gray_rgb.jpg",
    }
    assert "b/small.png" not in rejected


def test_what_is_written(raw, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    path = put(raw, "b/turned.jpg", Image.fromarray(scene(50, 20, 30)), exif=turned)
    put(raw, "Ünlabeled.png", scene(51))
    list_photos(raw, shuffle=1)
    summary = curate(raw, Filter(), tmp_path / "out")

    with (tmp_path / "out/manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class", "split", "width", "height", "sha256"]
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    by_path = {row["path"]: row for row in rows}
    assert (by_path["b/turned.jpg"]["width"], by_path["b/turned.jpg"]["height"]) == ("20", "30")
    assert by_path["b/turned.jpg"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert by_path["Ünlabeled.png"]["class"] == ""
    assert summary == (["a", "b"], {"train": 26, "validation": 3, "test": 3}, {})
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary._asdict()
    assert Counter(row["split"] for row in rows) == summary.photos
    assert (tmp_path / "out/rejected.csv").read_bytes() == b"path,reason\r\n"


def test_no_classes(tmp_path):
    for i in range(20):
        put(tmp_path, f"{i}.png", scene(i))
    list_photos(tmp_path)
    assert curate(tmp_path, Filter(), tmp_path / "out").classes == []


def test_sepia_is_kept_and_gray_is_not():
    gray = np.asarray(Image.fromarray(scene(1, 300, 400)).convert("L"))[..., None] / 255
    # the usual sepia matrix of photo software, on gray input: row sums 1.351, 1.203, 0.937
    sepia = (np.clip(gray * [1.351, 1.203, 0.937], 0, 1) * 255).astype(np.uint8)
    assert not is_gray(sepia, 4.0)
    assert is_gray((gray * [255, 255, 255]).astype(np.uint8), 4.0)


def test_noise_is_not_color_but_one_colored_flower_is():
    generator = np.random.default_rng(1)
    gray = np.repeat(np.asarray(Image.fromarray(scene(1, 600, 900)).convert("L"))[..., None], 3, axis=-1)
    scan = np.clip(gray + generator.normal(0, 6, gray.shape), 0, 255).astype(np.uint8)  # each channel its own noise
    assert is_gray(scan, 4.0)
    flower = gray.copy()
    flower[100:190, 200:320] = (200, 30, 40)  # 2 % of the photo
    assert not is_gray(flower, 4.0)


def test_threshold_is_chroma():
    # Lab of sRGB (128, 118, 118) by skimage, D65: a* 3.90, b* 1.49, so C* = 4.17
    rgb = np.full((64, 64, 3), (128, 118, 118), np.uint8)
    from skimage.color import rgb2lab

    chroma = np.hypot(*rgb2lab(rgb)[0, 0, 1:])
    assert is_gray(rgb, chroma + 0.01)
    assert not is_gray(rgb, chroma - 0.01)
    assert not is_gray(np.zeros((64, 64, 3), np.uint8), 0.0)


def test_draw_by_hand():
    # (i + 1) * 3 // 7 goes 0 0 1 1 2 2 3: it rises at 2, 4 and 6
    assert draw("abcdefg", 3) == (list("ceg"), list("abdf"))
    assert draw("abc", 0) == ([], list("abc"))
    assert draw("abc", 3) == (list("abc"), [])


def test_draw_takes_its_share_of_every_run():
    for total, count in ((97, 10), (100, 33), (11, 8)):
        drawn = set(draw(range(total), count)[0])
        assert len(drawn) == count
        for first in range(total):
            for last in range(first, total):
                run = last - first + 1
                assert abs(len(drawn & set(range(first, last + 1))) - run * count / total) < 1


def test_stratified_keeps_groups_together_in_an_order_of_the_seed():
    words = [f"{letter}{i}" for letter in "abc" for i in range(20)]
    ordered = stratified(words, group=lambda w: w[0], key=lambda w: w, seed=1)
    assert sorted(ordered) == sorted(words)
    groups = "".join(word[0] for word in ordered)
    assert len(set(groups[:20])) == len(set(groups[20:40])) == len(set(groups[40:])) == 1
    assert ordered == stratified(words[::-1], group=lambda w: w[0], key=lambda w: w, seed=1)
    assert ordered != stratified(words, group=lambda w: w[0], key=lambda w: w, seed=2)


def test_stratified_splits_by_hand(raw, tmp_path):
    # 10 of a and 20 of b: a tenth is 1 and 2, a fifth is 2 and 4
    summary = curate(raw, Filter(validation=0.1, test=0.2), tmp_path / "out")
    assert summary.photos == {"train": 21, "validation": 3, "test": 6}
    counts = Counter((row["class"], row["split"]) for row in read_table(tmp_path / "out/manifest.csv"))
    assert counts == {
        ("a", "train"): 7,
        ("b", "train"): 14,
        ("a", "validation"): 1,
        ("b", "validation"): 2,
        ("a", "test"): 2,
        ("b", "test"): 4,
    }


def test_every_class_within_one_of_its_share(tmp_path):
    sizes = {"a": 1, "b": 2, "c": 3, "d": 5, "e": 7, "f": 11, "g": 13, "h": 1, "i": 17}
    for label, size in sizes.items():
        for i in range(size):
            put(tmp_path, f"{label}/{i}.png", scene(100 * ord(label) + i, 16, 16))
    list_photos(tmp_path)
    for seed in range(5):
        summary = curate(tmp_path, Filter(validation=9, test=9, seed=seed), tmp_path / "out")
        assert summary.photos == {"train": 42, "validation": 9, "test": 9}
        counts = Counter((row["class"], row["split"]) for row in read_table(tmp_path / "out/manifest.csv"))
        for label, size in sizes.items():
            for split, total in summary.photos.items():
                assert abs(counts[label, split] - size * total / 60) < 1


def test_splits_follow_neither_the_order_nor_the_names_nor_the_cores(raw, tmp_path, monkeypatch):
    for i in range(10):  # which of each pair stays?
        shutil.copy(raw / f"photos/a/{i:02}.png", raw / f"photos/b/copy of {i}.png")
    list_photos(raw)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    curate(raw, Filter(), tmp_path / "out")
    first = split_of_each(tmp_path / "out")

    list_photos(raw, shuffle=2)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    curate(raw, Filter(), tmp_path / "shuffled")
    for name in ("manifest.csv", "rejected.csv", "summary.json"):
        assert (tmp_path / "shuffled" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()

    for i, path in enumerate(sorted((raw / "photos").rglob("*.png"), reverse=True)):
        path.rename(path.with_name(f"renamed {i}.png"))
    list_photos(raw)
    curate(raw, Filter(), tmp_path / "renamed")
    assert split_of_each(tmp_path / "renamed") == first

    curate(raw, Filter(seed=2), tmp_path / "seed")
    assert split_of_each(tmp_path / "seed") != first


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"validation": 1.5}, r"filter\.validation = 1\.5: allowed is a share under 1, or a whole number of photos"),
        ({"test": 1.0}, r"filter\.test = 1\.0: allowed is a share"),
        ({"test": 0.01}, r"filter\.test = 0\.01: 0 of 30 photos"),
        (
            {"validation": 20, "test": 10},
            r"filter\.validation = 20, filter\.test = 10: leave none of 30 photos for training",
        ),
        ({"validation": 0.5, "test": 0.5}, r"leave none of 30 photos for training"),
        ({"min_side": 100}, r"no photo was kept of 30: 30 too small"),
    ],
)
def test_what_cannot_be(raw, tmp_path, config, message):
    with pytest.raises(UserError, match=message) as caught:
        curate(raw, Filter(**config), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_nothing_is_left(raw, tmp_path):
    for i, path in enumerate(sorted((raw / "photos").rglob("*.png"))):
        path.write_bytes(b"") if i % 3 else Image.new("L", (99, 99), 7 * i).save(path)
    with pytest.raises(UserError, match=r"^no photo was kept of 30: 10 grayscale, 20 not an image$"):
        curate(raw, Filter(), tmp_path / "out")


def test_too_few_are_left_after_the_filter(raw, tmp_path):
    for path in sorted((raw / "photos").rglob("*.png"))[3:]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"leave none of 3 photos for training"):
        curate(raw, Filter(validation=1, test=2), tmp_path / "out")


# splits that folders give


@pytest.fixture
def kept(tmp_path) -> Path:
    """Twenty photos in train/, of two classes, four in test/."""
    for i in range(24):
        place = "test" if i >= 20 else "train"
        put(tmp_path / "raw", f"{place}/{'a' if i % 2 else 'b/deep'}/{i:02}.png", scene(i))
    list_photos(tmp_path / "raw")
    return tmp_path / "raw"


FOLDERS = Filter(split="folders", validation=0.2)


def manifest(out: Path) -> dict[str, tuple[str, str]]:
    return {row["path"]: (row["split"], row["class"]) for row in read_table(out / "manifest.csv")}


def test_folders_keep_their_split_and_validation_is_drawn_from_train(kept, tmp_path):
    summary = curate(kept, FOLDERS, tmp_path / "out")
    assert summary.photos == {"train": 16, "validation": 4, "test": 4}
    assert summary.classes == ["a", "b"]
    found = manifest(tmp_path / "out")
    assert {path for path, (split, _) in found.items() if split == "test"} == {p for p in found if p[:5] == "test/"}
    assert Counter(found.values())["validation", "a"] == 2
    assert all(label == path.split("/")[1] for path, (_, label) in found.items())
    curate(kept, FOLDERS, tmp_path / "again")
    assert manifest(tmp_path / "again") == found
    curate(kept, FOLDERS.model_copy(update={"seed": 2}), tmp_path / "seed")
    assert manifest(tmp_path / "seed") != found


@pytest.mark.parametrize("name", ["validation", "val", "valid", "Val"])
def test_a_validation_folder_is_kept_too(kept, tmp_path, name):
    for i in range(30, 33):
        put(kept, f"{name}/{i}.png", scene(i))
    list_photos(kept)
    summary = curate(kept, FOLDERS, tmp_path / "out")
    assert summary.photos == {"train": 20, "validation": 3, "test": 4}
    assert manifest(tmp_path / "out")[f"{name}/30.png"] == ("validation", "")


def test_what_is_in_the_test_is_dropped_from_train_and_never_from_the_test(kept, tmp_path):
    shutil.copy(kept / "photos/test/a/21.png", kept / "photos/train/a/01 again.png")
    put(kept, "val/of test.bmp", scene(22))
    put(kept, "val/own.png", scene(40))
    put(kept, "train/of val.bmp", scene(40))
    list_photos(kept)
    summary = curate(kept, FOLDERS, tmp_path / "out")
    assert summary.photos == {"train": 20, "validation": 1, "test": 4}
    assert {row["path"]: row["reason"] for row in read_table(tmp_path / "out/rejected.csv")} == {
        "train/a/01 again.png": "duplicate of test/a/21.png",
        "train/of val.bmp": "duplicate of val/own.png",
        "val/of test.bmp": "duplicate of test/b/deep/22.png",
    }


def test_a_csv_names_the_classes_beside_the_folders(kept, tmp_path):
    rows = [(path, "z" if "0" in path else "") for path in manifest_paths(kept)]
    write_table(kept / "labels.csv", ("path", "class"), rows)
    summary = curate(kept, FOLDERS, tmp_path / "out")
    assert summary.classes == ["z"]
    assert summary.photos == {"train": 16, "validation": 4, "test": 4}


def manifest_paths(raw: Path) -> list[str]:
    return [row["path"] for row in read_table(raw / "labels.csv")]


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (
            {"extra/1.png": 50},
            {},
            r"^filter\.split = 'folders': 'extra/1\.png' lies in no split's folder; allowed ",
        ),
        ({"1.png": 50}, {}, r"^filter\.split = 'folders': '1\.png' lies in no split's folder"),
        ({"test": None}, {}, r"^filter\.split = 'folders': 0 photos in test/, at least 2 are needed"),
        ({"train": None}, {}, r"^filter\.split = 'folders': no photos in train/; put some there"),
        ({}, {"validation": 20}, r"^filter\.validation = 20: leaves none of 20 photos in train/"),
        ({}, {"validation": 2.0}, r"^filter\.validation = 2\.0: allowed is a share under 1"),
    ],
)
def test_folders_that_give_no_split(kept, tmp_path, change, config, message):
    for name, seed in change.items():
        if seed is None:
            shutil.rmtree(kept / "photos" / name)
        else:
            put(kept, name, scene(seed))
    list_photos(kept)
    with pytest.raises(UserError, match=message) as caught:
        curate(kept, FOLDERS.model_copy(update=config), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the folder of real photos")
def test_real_photos(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/photos").symlink_to(PHOTOS)
    names = sorted(path.name for path in PHOTOS.iterdir())
    write_table(tmp_path / "raw/labels.csv", ("path", "class"), [(name, name[:9]) for name in names])
    summary = curate(tmp_path / "raw", Filter(), tmp_path / "out")
    rejected = {row["path"]: row["reason"] for row in read_table(tmp_path / "out/rejected.csv")}
    assert sum(summary.photos.values()) + len(rejected) == len(names)
    stored_gray = set()
    for name in names:
        with Image.open(PHOTOS / name) as image:
            if image.mode == "L":
                stored_gray.add(name)
    assert stored_gray
    assert stored_gray <= {name for name, reason in rejected.items() if reason == "grayscale"}
    assert len(rejected) < len(names) / 10
