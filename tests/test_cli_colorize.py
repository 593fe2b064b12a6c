"""`tintype colorize` as its users type it, on real files, with a generator that has learned nothing."""

import errno
import os
import signal
import struct
import subprocess
import sys
import time
import weakref
import zlib
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio

import tintype.cli
from tintype.batch import comparison
from tintype.batch import run as folder
from tintype.batch.comparison import measure
from tintype.batch.plan import Task
from tintype.batch.side_by_side import GAP
from tintype.cli.colorize import BackendName, FormatName
from tintype.color.colorfulness import colorfulness
from tintype.data.curation import read_table
from tintype.images.decoding import MAX_PIXELS
from tintype.images.formats import WRITABLE
from tintype.images.opening import UnreadablePhoto
from tintype.images.photo import Photo
from tintype.inference import backends
from tintype.inference.colorizer import Colorizer
from tintype.metrics.color import ciede2000
from tintype.metrics.pixels import ssim

CAT = Image.fromarray(data.chelsea()).resize((180, 120))
GRAY = CAT.convert("L")


@pytest.fixture
def tintype_(weights, tmp_path, monkeypatch, capsys):
    """Run `tintype colorize` in a folder of its own: exit status, what it said, what it complained of."""
    monkeypatch.chdir(tmp_path)

    def run(*words, model=weights):
        chosen = () if model is None else ("--model", str(model))
        monkeypatch.setattr(sys, "argv", ["tintype", "colorize", *map(str, words), *chosen])
        with pytest.raises(SystemExit) as ended:
            tintype.cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def album(tmp_path):
    """Photos of several kinds, in a tree, among other files."""
    album = tmp_path / "album"
    (album / "1950" / "summer").mkdir(parents=True)
    GRAY.save(album / "a.jpg", quality=90)
    GRAY.save(album / "1950" / "B.PNG")
    CAT.save(album / "1950" / "summer" / "c.webp")
    GRAY.save(album / "d.gif")
    (album / "._a.jpg").write_bytes(b"of macOS")
    (album / ".trash").mkdir()
    GRAY.save(album / ".trash" / "e.jpg")
    return album


def tree(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def chroma(path: Path) -> float:
    with Image.open(path) as image:
        return float(np.hypot(*np.moveaxis(rgb2lab(image.convert("RGB"))[..., 1:], 2, 0)).mean())


def test_a_folder_keeps_its_tree_names_formats_and_sizes(tintype_, album):
    (album / "notes.txt").write_text("none of them is a photo")
    assert tintype_("album", "-o", "out") == (0, "4 in color: out\n1 skipped: .txt x1\n", "")
    assert tree(Path("out")) == ["1950/B.PNG", "1950/summer/c.webp", "a.jpg", "d.png"]
    for name in tree(Path("out")):
        with Image.open(Path("out") / name) as image:
            assert image.size == (180, 120)
            assert image.format == {".jpg": "JPEG", ".PNG": "PNG", ".webp": "WEBP", ".png": "PNG"}[Path(name).suffix]
        assert chroma(Path("out") / name) > 1
    lightness = rgb2lab(Image.open("out/1950/B.PNG"))[..., 0]
    want = rgb2lab(GRAY.convert("RGB"))[..., 0]
    assert np.abs(lightness - want).max() < 0.5


def test_what_is_done_is_skipped_unless_told_otherwise(tintype_, album, monkeypatch):
    tintype_("album", "-o", "out")
    before = {name: (Path("out") / name).stat().st_ctime_ns for name in tree(Path("out"))}
    Path("out/a.jpg").unlink()
    assert tintype_("album", "-o", "out")[1] == "1 in color: out (3 were there already)\n"
    after = {name: (Path("out") / name).stat().st_ctime_ns for name in tree(Path("out"))}
    assert [name for name in before if before[name] != after[name]] == ["a.jpg"]
    assert tintype_("album", "-o", "out", "--overwrite")[1] == "4 in color: out\n"
    assert (Path("out") / "d.png").stat().st_ctime_ns != before["d.png"]
    monkeypatch.setattr(Colorizer, "load", None)  # nothing to do: no model is looked for
    assert tintype_("album", "-o", "out")[:2] == (0, "0 in color: out (4 were there already)\n")


def test_what_failed_is_named_and_why_and_all_others_are_done(tintype_, album):
    (album / "text.jpg").write_text("text")
    (album / "cut.jpg").write_bytes((album / "a.jpg").read_bytes()[:2000])
    (album / "empty.png").touch()
    status, said, complained = tintype_("album", "-o", "out")
    assert (status, said) == (1, "4 in color: out\n")
    assert complained.splitlines() == [
        "3 failed:",
        "  album/cut.jpg: truncated",
        "  album/empty.png: not an image",
        "  album/text.jpg: not an image",
    ]
    assert tree(Path("out")) == ["1950/B.PNG", "1950/summer/c.webp", "a.jpg", "d.png"]


def test_another_format(tintype_, album):
    assert tintype_("album", "-o", "out", "--format", "jpeg")[0] == 0
    assert tree(Path("out")) == ["1950/B.jpg", "1950/summer/c.jpg", "a.jpg", "d.jpg"]
    assert {Image.open(Path("out") / name).format for name in tree(Path("out"))} == {"JPEG"}


def test_16_bits_and_exif_stay(tintype_, tmp_path):
    deep = np.linspace(0, 65535, 120 * 180).reshape(120, 180).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Ansel"
    Image.fromarray(deep).save("deep.tif")
    Image.fromarray(deep).save("deep.png")
    GRAY.save("turned.jpg", exif=exif, dpi=(300, 300))
    assert tintype_("deep.tif", "deep.png", "turned.jpg", "-o", "out")[0] == 0
    for name in ("deep.tif", "deep.png"):
        written = cv2.imread(f"out/{name}", cv2.IMREAD_UNCHANGED)
        assert (written.dtype, written.shape) == (np.uint16, (120, 180, 3))
        assert len(np.unique(written[..., 1])) > 5000
    turned = Image.open("out/turned.jpg")
    assert turned.size == (120, 180)
    assert (turned.getexif()[0x0112], turned.getexif()[0x013B]) == (1, "Ansel")
    assert turned.info["dpi"] == (300, 300)


def test_patterns_keep_the_tree_behind_what_is_fixed(tintype_, album):
    assert tintype_("album/**/*.[Pw]*", "-o", "out")[0] == 0
    assert tree(Path("out")) == ["1950/B.PNG", "1950/summer/c.webp"]
    (album / "odd[1].jpg").write_bytes((album / "a.jpg").read_bytes())
    assert tintype_("album/odd[1].jpg", "-o", "odd")[0] == 0
    assert tree(Path("odd")) == ["odd[1].jpg"]
    assert tintype_("album/*.tif", "-o", "none")[2].startswith("error: album/*.tif: no photo there")


def test_places_that_need_not_be_named(tintype_, album):
    assert tintype_("album/a.jpg")[0] == 0
    assert Image.open("album/a-color.jpg").size == (180, 120)
    assert tintype_("album/1950")[0] == 0
    assert tree(album / "1950-color") == ["B.PNG", "summer/c.webp"]
    status, _, complained = tintype_("album/a.jpg", "album/d.gif")
    assert (status, complained) == (2, "error: -o: is needed: a folder, which the photos in color go into\n")


def test_a_single_photo_may_have_a_name(tintype_, album):
    assert tintype_("album/1950/B.PNG", "-o", "new/b.jpg") == (0, "1 in color: new/b.jpg\n", "")
    assert Image.open("new/b.jpg").format == "JPEG"
    assert tintype_("album/a.jpg", "-o", "b.gif")[0] == 2
    assert tintype_("album/a.jpg", "-o", "b.png", "--format", "jpeg")[2].startswith("error: -o b.png: allowed: a name")
    assert tintype_("album", "-o", "b.jpg")[2].startswith("error: -o b.jpg: allowed: a folder")


def test_results_inside_the_folder_are_not_colored_again(tintype_, album):
    assert tintype_("album", "-o", "album/out")[0] == 0
    first = tree(album)
    assert tintype_("album", "-o", "album/out")[1].startswith("0 in color")
    assert tintype_("album/**/*", "-o", "album/out")[1].startswith("0 in color")
    assert tree(album) == first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["album", "-o", "album"], "-o album: is the folder of the photos; allowed: another one"),
        (["album/a.jpg", "-o", "album"], "-o: album/a.jpg is one of the photos, which are never written over; "),
        (["album/a.jpg", "-o", "album/a.jpg"], "-o: album/a.jpg is one of the photos, which are never written over; "),
        (["album/none.jpg", "-o", "out"], "album/none.jpg: no such photo, folder or pattern"),
        (["empty", "-o", "out"], "empty: no photo there; known by their names: .avif .bmp"),
        (["album", "-o", "out", "--hint", "0.5,0.5,#ff0000"], "--hint: is for a single photo; here are"),
        (["album/a.jpg", "-o", "out", "--hint", "3,4,red"], "--hint '3,4,red': allowed: X,Y,#RRGGBB with X and Y"),
        (["album", "-o", "out", "--evaluate", "--samples", "2"], "--evaluate --samples: allowed is one of the two"),
        (["album", "-o", "out", "--evaluate", "--keep-color"], "--evaluate --keep-color: allowed is one of the two"),
        (["clips", "-o", "out", "--compare"], "clips/c.mp4: is a video; --compare works with photos only"),
        (["album", "-o", "out", "--keep-color", "--samples", "2"], "--keep-color --samples: allowed is one of the"),
        (["album/a.jpg", "--keep-color", "--hint", "0,0,#ff0000"], "--keep-color --hint: allowed is one of the two"),
        (["album", "-o", "out", "--seed", "1"], "--seed: is for --samples"),
        (["album/a.jpg", "-o", "out.mp4"], "-o out.mp4: allowed: a name that ends in .jpg"),
        (["clips/c.mp4", "-o", "out.jpg"], "-o out.jpg: allowed: a name that ends in .avi .m4v"),
        (["album/1950", "-o", "album", "--overwrite"], "-o album: album/1950/B.PNG lies in it; allowed: a folder"),
        (["album/1950/*.PNG", "-o", "."], "-o .: album/1950/B.PNG lies in it; allowed: a folder without photos"),
        (["", "-o", "out"], "'': is no name"),
        (["album/1950/B.PNG", "-o", "out", "--size", "16"], "size 16: allowed: at least 32"),
        (["album", "-o", "notes.txt/out"], "-o: notes.txt/out cannot be written to: Not a directory"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tintype_, album, words, message):
    for name in ("empty", "clips"):
        Path(name).mkdir()
    Path("clips/c.mp4").touch()
    Path("notes.txt").touch()
    before = tree(Path())
    status, said, complained = tintype_(*words)
    assert (status, said) == (2, "")
    assert complained.startswith(f"error: {message}")
    assert complained.count("\n") == 1
    assert tree(Path()) == before


def test_size_and_backend_reach_the_colorizer(tintype_, album, monkeypatch):
    load, seen = Colorizer.load, []

    def recorded(model, **options):
        seen.append(options)
        return load(model, **options)

    monkeypatch.setattr(folder.Colorizer, "load", recorded)
    for name, options in (("a", ()), ("b", ("--size", "64", "--backend", "torch"))):
        assert tintype_("album/1950/B.PNG", "-o", name, *options)[0] == 0
    assert [(options["size"], options["backend"]) for options in seen] == [(None, "auto"), (64, "torch")]
    assert Path("a/B.PNG").read_bytes() != Path("b/B.PNG").read_bytes()


def test_links_to_photos_are_photos(tintype_, tmp_path):
    Path("in").mkdir()
    GRAY.save("in/b.png")
    Path("in/c.png").symlink_to("b.png")
    assert tintype_("in", "in/../in/b.png", "-o", "out")[:2] == (0, "2 in color: out\n")
    assert tree(Path("out")) == ["b.png", "c.png"]


def test_results_beside_their_photos_are_passed_over(tintype_, tmp_path):
    for name in ("x", "x-color", "x-color-2", "x-compare", "x-color-compare", "sea-color", "x-colored"):
        GRAY.save(f"{name}.png")
    assert tintype_(".", "-o", "out")[0] == 0
    assert tree(Path("out")) == ["sea-color.png", "x-colored.png", "x.png"]
    assert tintype_("*-color.png", "-o", "asked")[0] == 0
    assert tree(Path("asked")) == ["sea-color.png", "x-color.png"]


def test_gifs_are_written_as_what_they_are_called(tintype_, tmp_path):
    GRAY.save("g.jpg", format="GIF")
    assert tintype_("g.jpg", "-o", "out")[0] == 0
    assert Image.open("out/g.jpg").format == "JPEG"


def test_what_cannot_be_written_fails_alone(tintype_, album):
    long = "x" * 247  # with its suffix as long as names get: no room to add to it
    (album / f"{long}.jpg").write_bytes((album / "a.jpg").read_bytes())
    Path("out").mkdir()
    Path("out/1950").touch()
    (Path("out") / "d.png").mkdir()
    status, said, complained = tintype_("album", "-o", "out", "--compare")
    assert (status, said) == (1, "1 in color: out\n")
    assert complained.splitlines() == [
        "4 failed:",
        "  album/d.gif: out/d.png: cannot be written: Is a directory",
        f"  album/{long}.jpg: out/{long}-compare.jpg: cannot be written: File name too long",
        "  album/1950/B.PNG: out/1950/B.PNG: cannot be written: File exists",
        "  album/1950/summer/c.webp: out/1950/summer/c.webp: cannot be written: Not a directory",
    ]
    assert tree(Path("out")) == ["1950", "a-compare.jpg", "a.jpg", f"{long}.jpg"]


def test_a_full_disk_stops_the_run_and_what_failed_before_is_told(tintype_, album, monkeypatch):
    (album / "b.jpg").write_text("text")
    fsync, calls = os.fsync, []

    def full(number):
        calls.append(number)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    monkeypatch.setattr(os, "fsync", full)
    status, said, complained = tintype_("album", "-o", "out", "--batch-size", "1")
    assert (status, said) == (2, "2 in color: out\n")
    assert complained.splitlines() == [
        "1 failed:",
        "  album/b.jpg: not an image",
        "error: out/1950/B.PNG: cannot be written: No space left on device",
    ]
    assert tree(Path("out")) == ["a.jpg", "d.png"]


def test_two_runs_may_write_to_one_folder(tintype_, album):
    Path("out").mkdir()
    Path("out/a.jpg.tmp").write_text("another's")
    Path("out/.tintype-new").write_text("another's")
    Path("out/.tintype-old").write_text("a killed run's")
    os.utime("out/.tintype-old", (1, 1))
    assert tintype_("album/a.jpg", "-o", "out")[0] == 0
    assert tree(Path("out")) == [".tintype-new", "a.jpg", "a.jpg.tmp"]
    assert Path("out/a.jpg").stat().st_mode == Path("out/a.jpg.tmp").stat().st_mode


def test_a_batch_that_fails_is_tried_photo_by_photo(tintype_, album, monkeypatch):
    predict = Colorizer.predict

    def little_memory(self, batch):
        if len(batch) > 1 or batch[0].photo.format == "WEBP":
            raise RuntimeError("CUDA out of memory")
        return predict(self, batch)

    monkeypatch.setattr(Colorizer, "predict", little_memory)
    status, said, complained = tintype_("album", "-o", "out")
    assert (status, said) == (1, "3 in color: out\n")
    assert complained == "1 failed:\n  album/1950/summer/c.webp: RuntimeError: CUDA out of memory\n"


def test_no_such_model_is_one_line(tintype_, album):
    status, _, complained = tintype_("album", "-o", "out", model="nowhere")
    assert (status, complained.count("\n")) == (2, 1)
    assert complained.startswith("error: ")


def test_photos_in_color_may_be_kept(tintype_, tmp_path):
    CAT.save("cat.jpg", quality=70)
    CAT.save("cat.webp")
    GRAY.save("gray.jpg", quality=70)
    assert tintype_("cat.jpg", "gray.jpg", "cat.webp", "-o", "out", "--keep-color")[0] == 0
    assert Path("out/cat.jpg").read_bytes() == Path("cat.jpg").read_bytes()
    assert Path("out/cat.webp").read_bytes() == Path("cat.webp").read_bytes()
    assert chroma(Path("out/gray.jpg")) > 1
    assert tintype_("cat.jpg", "-o", "png", "--keep-color", "--format", "png")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open("png/cat.png")), np.asarray(Image.open("cat.jpg")))


def test_saturation(tintype_, album):
    found = []
    for saturation in ("0", "1", "1.5"):
        assert tintype_("album/1950/B.PNG", "-o", saturation, "--saturation", saturation)[0] == 0
        found.append(chroma(Path(saturation) / "B.PNG"))
    assert found[0] < 0.5
    assert found[2] > 1.3 * found[1]


def test_samples_are_several_and_the_same_for_a_seed(tintype_, album):
    assert tintype_("album/1950", "-o", "one", "--samples", "2", "--seed", "5")[0] == 0
    assert tree(Path("one")) == ["B-1.PNG", "B-2.PNG", "summer/c-1.webp", "summer/c-2.webp"]
    assert Path("one/B-1.PNG").read_bytes() != Path("one/B-2.PNG").read_bytes()
    # whatever is beside it
    assert tintype_("album/1950/B.PNG", "-o", "two", "--samples", "1", "--seed", "6", "--batch-size", "1")[0] == 0
    assert Path("two/B-1.PNG").read_bytes() == Path("one/B-2.PNG").read_bytes()


def test_a_deterministic_model_has_no_samples(tintype_, album, monkeypatch):
    monkeypatch.setattr(backends.pytorch.TorchGenerator, "stochastic", False, raising=False)
    monkeypatch.setattr(folder.Colorizer, "load", lambda *_, **__: Colorizer(Gray()))
    status, _, complained = tintype_("album", "-o", "out", "--samples", "2")
    assert status == 2
    assert complained.startswith("error: samples: this model has one answer")


class Gray:
    """A backend without colors."""

    image_size = 32
    stochastic = False
    chroma_stride = 1

    def __call__(self, lightness, seed=None):
        return np.zeros((len(lightness), 2, *lightness.shape[2:]), np.float32)


def test_a_hint_colors_its_spot(tintype_, album):
    assert tintype_("album/1950/B.PNG", "-o", "out", "--hint", "0.5,0.5,#2040ff", "--hint", "0.1,0.1,#ff2020")[0] == 0
    lab = rgb2lab(Image.open("out/B.PNG"))
    blue, red = lab[58:63, 87:93].mean((0, 1)), lab[10:15, 15:21].mean((0, 1))
    assert blue[2] < -10
    assert red[1] > 10


def test_before_and_after(tintype_, album):
    assert tintype_("album/1950", "-o", "out", "--compare")[0] == 0
    assert tree(Path("out")) == ["B-compare.PNG", "B.PNG", "summer/c-compare.webp", "summer/c.webp"]
    sheet = np.asarray(Image.open("out/B-compare.PNG"))
    assert sheet.shape == (120, 2 * 180 + GAP, 3)
    np.testing.assert_array_equal(sheet[:, :180], np.asarray(GRAY.convert("RGB")))
    np.testing.assert_array_equal(sheet[:, -180:], np.asarray(Image.open("out/B.PNG")))
    assert tintype_("album/1950/B.PNG", "-o", "many", "--compare", "--samples", "3")[0] == 0
    assert Image.open("many/B-compare.PNG").size == (4 * 180 + 3 * GAP, 120)


def test_color_photos_are_measured_against_what_they_were(tintype_, tmp_path):
    Path("photos").mkdir()
    for name, turn in (("cat", 0), ("tac", 180)):
        CAT.rotate(turn).save(f"photos/{name}.png")
    GRAY.save("photos/gray.png")
    assert tintype_("photos", "-o", "out")[0] == 0
    written = {path: path.stat().st_ctime_ns for path in Path("out").iterdir()}
    status, said, _ = tintype_("photos", "-o", "out", "--evaluate")  # those that are there too
    assert status == 0
    assert all(path.stat().st_ctime_ns > before for path, before in written.items())  # metrics belong to the files
    rows = read_table(Path("out/evaluate.csv"))
    assert [row["photo"] for row in rows] == [str(Path("photos/cat.png")), str(Path("photos/tac.png"))]
    for row in rows:
        truth = np.asarray(Image.open(row["photo"]))
        result = np.asarray(Image.open(Path("out") / Path(row["photo"]).name))
        assert float(row["psnr"]) == pytest.approx(peak_signal_noise_ratio(truth, result), abs=1e-3)
        difference = deltaE_ciede2000(rgb2lab(truth), rgb2lab(result)).mean()
        assert float(row["ciede2000"]) == pytest.approx(difference, abs=1e-3)
    lines = said.splitlines()
    assert lines[0] == "1 not measured: gray, tiny, or a video"
    assert lines[1].split()[:3] == ["photo", "psnr", "↑"]
    assert lines[4].startswith("mean of 2")
    mean = np.mean([float(row["psnr"]) for row in rows])
    assert f"{mean:.2f}" in lines[4]


def test_large_photos_are_measured_at_full_size():
    """In strips, to what the project's metrics are of the whole, and to scikit-image's."""
    rng = np.random.default_rng(1)
    truth = np.asarray(CAT.resize((2000, 1500)))
    noisy = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    assert truth.shape[0] * truth.shape[1] > 10 * comparison.STRIP
    found = measure(Photo(noisy), Photo(truth))
    whole = [torch.from_numpy(array.transpose(2, 0, 1)[None] / np.float32(255)) for array in (noisy, truth)]
    want = {
        "psnr": peak_signal_noise_ratio(truth, noisy),
        "ssim": float(ssim(*whole)),
        "rmse": np.sqrt((((noisy / 255.0) - truth / 255.0) ** 2).mean()),
        "mae": np.abs(noisy / 255.0 - truth / 255.0).mean(),
        "ciede2000": float(ciede2000(*whole)),
        "colorfulness": float(colorfulness(whole[0])),
        "true_colorfulness": float(colorfulness(whole[1])),
    }
    assert found == pytest.approx(want, rel=1e-4)
    assert measure(Photo(truth), Photo(truth))["psnr"] == 100


def test_few_photos_are_in_memory_whatever_the_number(tintype_, tmp_path, monkeypatch):
    Path("many").mkdir()
    for number in range(40):
        GRAY.save(f"many/{number}.png")
    photos, alive = [], []
    prepare = Colorizer.prepare

    def counted(self, photo):
        prepared = prepare(self, photo)
        photos.append(weakref.ref(prepared.photo.pixels))
        alive.append(sum(photo() is not None for photo in photos))
        return prepared

    monkeypatch.setattr(Colorizer, "prepare", counted)
    assert tintype_("many", "-o", "out", "--batch-size", "3")[1] == "40 in color: out\n"
    assert 3 <= max(alive) <= 3 * 3


def test_large_photos_share_no_batch(tintype_, album, monkeypatch):
    seen = []
    predict = Colorizer.predict
    monkeypatch.setattr(Colorizer, "predict", lambda self, batch: seen.append(len(batch)) or predict(self, batch))
    monkeypatch.setattr(folder, "BATCH_PIXELS", 2 * 180 * 120)
    assert tintype_("album", "-o", "out", "--batch-size", "8")[0] == 0
    assert seen == [2, 2]


def test_giant_photos_share_no_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_478_485)  # Pillow's own: it refuses twice that
    header = b"IHDR" + struct.pack(">IIBBBBB", 13_500, 13_500, 1, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for chunk in (header, b"IDAT" + zlib.compress(bytes(1689 * 13_500))):
        content += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    tasks = [Task(tmp_path / f"{number}.png", (tmp_path / f"out{number}.png",)) for number in range(3)]
    for task in tasks:
        task.source.write_bytes(content)
    assert [len(batch) for batch in folder._batches(tasks, 8, MAX_PIXELS)] == [1, 1, 1]
    assert [len(batch) for batch in folder._batches(tasks, 8, 1_000_000)] == [3]  # refused by their headers


def test_figures_that_cannot_be_written_are_one_line(tintype_, tmp_path):
    CAT.save("cat.png")
    Path("out/evaluate.csv").mkdir(parents=True)
    status, _, complained = tintype_("cat.png", "-o", "out", "--evaluate")
    assert (status, complained) == (2, "error: out/evaluate.csv: cannot be written: Is a directory\n")
    assert tree(Path("out")) == ["cat.png"]


def test_ctrl_c_leaves_whole_files_and_the_same_command_goes_on(tintype_, tmp_path, monkeypatch):
    Path("many").mkdir()
    for number in range(10):
        GRAY.save(f"many/{number}.png")
    batches = []
    predict = Colorizer.predict

    def interrupted(self, batch):
        batches.append(batch)
        if len(batches) == 4:
            raise KeyboardInterrupt
        return predict(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Colorizer, "predict", interrupted)
        status, _, complained = tintype_("many", "-o", "out", "--batch-size", "2")
    assert status == 130
    assert complained == "interrupted; the same command goes on from here\n"
    done = tree(Path("out"))
    assert 4 <= len(done) <= 6
    assert all(Image.open(Path("out") / name).convert("RGB").size == (180, 120) for name in done)
    assert tintype_("many", "-o", "out")[1] == f"{10 - len(done)} in color: out ({len(done)} were there already)\n"


@pytest.mark.slow
def test_a_killed_run_leaves_whole_files_and_goes_on(tintype_, weights, tmp_path):
    Path("many").mkdir()
    for number in range(100):
        GRAY.resize((600, 400)).save(f"many/{number:02}.png")
    command = [sys.executable, "-c", "from tintype.cli import main; main()", "colorize", "many", "-o", "out"]
    run = subprocess.Popen([*command, "--model", str(weights)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(Path("out").glob("*.png"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    done = list(Path("out").glob("*.png"))
    assert 3 <= len(done) < 100
    for path in done:
        assert Image.open(path).convert("RGB").size == (600, 400)
    for path in sorted(Path("many").glob("*.png"))[len(done) + 4 :]:
        path.unlink()
    for path in Path("out").glob(".*"):
        os.utime(path, (1, 1))  # young ones may be another run's
    assert f"({len(done)} were there already)" in tintype_("many", "-o", "out")[1]
    assert [name for name in tree(Path("out")) if not name.endswith(".png")] == []


def test_videos_go_to_their_own(tintype_, album, monkeypatch):
    (album / "1950" / "clip.MP4").touch()
    (album / "bad.mov").touch()
    (album / "odd.mov").touch()
    seen = []

    def video(source, out, colorizer, *, progress):
        if source.name == "bad.mov":
            raise UnreadablePhoto("no video in it")
        if source.name == "odd.mov":
            raise RuntimeError("CUDA out of memory")
        progress(1, 2)
        seen.append((source.as_posix(), out.as_posix()))
        out.write_bytes(b"video")

    monkeypatch.setattr(folder, "colorize_video", video)
    status, said, complained = tintype_("album", "-o", "out", "--format", "png")
    assert (status, said) == (1, "5 in color: out\n")
    assert complained.splitlines() == [
        "2 failed:",
        "  album/bad.mov: no video in it",
        "  album/odd.mov: RuntimeError: CUDA out of memory",
    ]
    for name in ("bad.mov", "odd.mov"):
        (album / name).unlink()
    assert seen == [("album/1950/clip.MP4", "out/1950/clip.MP4")]
    assert tintype_("album", "-o", "out", "--format", "png")[1] == "0 in color: out (5 were there already)\n"


def test_help_waits_for_nothing():
    code = (
        "import sys; sys.argv = ['tintype', 'colorize', '--help']\nfrom tintype.cli import main\n"
        "try: main()\nexcept SystemExit: print([m for m in ('numpy', 'PIL', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert all(option in done.stdout for option in ("--model", "--compare", "--evaluate", "--hint", "--samples"))


def test_the_options_name_all_that_there_is():
    assert set(get_args(FormatName)) == {"same", *WRITABLE}
    assert get_args(BackendName) == backends.BACKENDS


def test_odd_photos_by_the_released_model(tintype_, everyday):
    """Smaller than the network's stride, of one tone, many times as long as wide, of other kinds of gray."""
    Path("odd").mkdir()
    sizes = {"dot": (1, 1), "tiny": (3, 2), "small": (31, 31), "panorama": (1200, 60), "tower": (60, 1200)}
    for name, size in sizes.items():
        GRAY.resize(size).save(f"odd/{name}.png")
    for name, level in (("black", 0), ("white", 255)):
        Image.new("L", (90, 70), level).save(f"odd/{name}.png")
    deep = np.asarray(GRAY, np.uint16) * 257
    Image.fromarray(deep).save("odd/deep.png")
    see_through = GRAY.copy()
    see_through.putalpha(Image.linear_gradient("L").resize(GRAY.size))
    see_through.save("odd/alpha.png")

    assert tintype_("odd", "-o", "out", model=None) == (0, "9 in color: out\n", "")
    for name in ("dot", "tiny", "small", "panorama", "tower", "alpha"):
        gray, colored = Image.open(f"odd/{name}.png"), Image.open(f"out/{name}.png")
        assert colored.size == gray.size
        assert colored.mode == ("RGBA" if name == "alpha" else "RGB")
        lightness = [rgb2lab(one.convert("RGB"))[..., 0] for one in (gray, colored)]
        np.testing.assert_allclose(*lightness, atol=0.5)
        assert colored.size == (1, 1) or chroma(Path("out") / f"{name}.png") > 1
    np.testing.assert_array_equal(
        np.asarray(Image.open("out/alpha.png"))[..., 3], np.asarray(see_through.getchannel("A"))
    )
    assert Image.open("out/black.png").getextrema() == ((0, 0),) * 3
    assert Image.open("out/white.png").getextrema() == ((255, 255),) * 3
    written = cv2.imread("out/deep.png", cv2.IMREAD_UNCHANGED)
    assert (written.dtype, written.shape) == (np.uint16, (120, 180, 3))
    np.testing.assert_allclose(rgb2lab(written[..., ::-1])[..., 0], rgb2lab(GRAY.convert("RGB"))[..., 0], atol=0.05)
