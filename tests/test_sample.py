import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from scipy.ndimage import gaussian_filter
from skimage.color import lab2rgb, rgb2lab

from tintype.config import Filter
from tintype.data.curation import curate
from tintype.data.sample import ODDITIES, SCENES, draw_sample, draw_scene

PHOTOS = 160


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample")
    draw_sample(out, photos=PHOTOS)
    return out


def scenes(out: Path) -> list[Path]:
    """The photos that are no oddities, in the order they were drawn in."""
    return sorted((path for path in out.rglob("*.*") if re.fullmatch(r"\d{4}", path.stem)), key=lambda path: path.stem)


def oddity(out: Path, name: str) -> Path:
    (path,) = out.rglob(f"{name}_0.*")
    return path


def hashes(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("*.*")}


def test_a_cpu_with_other_instructions_draws_the_same_bytes():
    """In float32 the last bits of an exponential decided a level of one photo in 400, this one among them."""
    draw = (
        "import numpy as np; from tintype.data.sample import draw_scene as d;"
        "print(d('fruit', np.random.SeedSequence(1, spawn_key=(148,))).tobytes().hex())"
    )
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}
    plain = subprocess.run([sys.executable, "-W", "ignore", "-c", draw], env=env, capture_output=True, text=True)
    assert plain.returncode == 0, plain.stderr
    here = draw_scene("fruit", np.random.SeedSequence(1, spawn_key=(148,)))
    assert plain.stdout.strip() == here.tobytes().hex()


@pytest.fixture(scope="module")
def lab(drawn):
    """(PHOTOS, 64, 64, 3) CIE L*a*b*."""
    return np.stack([rgb2lab(np.asarray(ImageOps.fit(Image.open(path), (64, 64)))) for path in scenes(drawn)])


@pytest.fixture(scope="module")
def label():
    return np.arange(PHOTOS) % len(SCENES)


def test_classes_are_balanced_and_sizes_differ(drawn):
    photos = scenes(drawn)
    assert Counter(path.parent.name for path in photos) == dict.fromkeys(SCENES, PHOTOS // len(SCENES))
    assert {path.suffix for path in photos} == {".jpg", ".png"}
    sizes = {Image.open(path).size for path in photos}
    assert len(sizes) > PHOTOS / 2
    assert all(80 <= min(size) < max(size) <= 128 for size in sizes)
    assert {width > height for width, height in sizes} == {True, False}


def test_same_seed_same_bytes_whatever_the_number(drawn, tmp_path):
    for out in ("again", "fewer"):
        draw_sample(tmp_path / out, photos=16 if out == "fewer" else 24)
    whole, again, fewer = (hashes(out) for out in (drawn, tmp_path / "again", tmp_path / "fewer"))
    for part, photos in ((again, 24), (fewer, 16)):
        numbered = {path: digest for path, digest in part.items() if re.search(r"/\d{4}\.", path)}
        assert len(numbered) == photos
        assert numbered.items() <= whole.items()
    draw_sample(tmp_path / "once_more", photos=16)
    assert hashes(tmp_path / "once_more") == fewer


def test_another_seed_gives_other_photos(drawn, tmp_path):
    draw_sample(tmp_path, seed=2, photos=16)
    photos = scenes(tmp_path)
    assert not {path.read_bytes() for path in photos} & {path.read_bytes() for path in scenes(drawn)}


def test_color_is_that_of_photos(lab):
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    assert 20 < chroma.mean() < 32  # 25.3 over all 1,440
    assert np.percentile(chroma, 99, axis=(1, 2)).min() > 10  # none that a filter takes for gray
    assert np.hypot(*lab[..., 1:].mean((0, 1, 2))) < 15  # no cast over the whole
    assert 40 < lab[..., 0].mean() < 60
    hue = np.arctan2(lab[..., 2], lab[..., 1])[chroma > 20]
    assert np.histogram(hue, 4, (-np.pi, np.pi))[0].min() > 0.04 * hue.size  # every quarter of the circle


def test_floors_leave_room_to_learn(lab, label):
    def psnr(ab):
        # to RGB8 and back as a colorizer would be judged; lightness kept
        rgb = np.round(lab2rgb(np.concatenate([lab[..., :1], np.broadcast_to(ab, lab[..., 1:].shape)], -1)) * 255) / 255
        return np.mean(-10 * np.log10(((rgb - lab2rgb(lab)) ** 2).mean((1, 2, 3))))

    by_class = np.stack([lab[label == k, ..., 1:].mean((0, 1, 2)) for k in range(len(SCENES))])
    gray, mean, class_mean = psnr(0.0), psnr(lab[..., 1:].mean((0, 1, 2))), psnr(by_class[label][:, None, None])
    assert 17 < gray < 21  # 19.0, 19.4 and 20.5 over all 1,440
    assert gray < mean < gray + 1.5
    assert class_mean > mean + 0.7  # the class tells something of the hue


def test_hue_follows_from_structure(lab):
    """Least squares from lightness and place alone explains part of the chroma of photos it has not seen."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    lightness = lab[..., 0] / 50 - 1
    blurred = [gaussian_filter(lightness, (0, sigma, sigma)) for sigma in (2, 6, 16)]
    rough = gaussian_filter((lightness - blurred[0]) ** 2, (0, 3, 3)) ** 0.5
    base = [np.ones_like(lightness), np.broadcast_to(y, lightness.shape), np.broadcast_to(x**2, lightness.shape)]
    base += [lightness, *blurred, rough]
    design = np.stack([a * b for i, a in enumerate(base) for b in base[i:]], -1)
    half = PHOTOS // 2
    weights = np.linalg.lstsq(design[:half].reshape(-1, design.shape[-1]), lab[:half, ..., 1:].reshape(-1, 2))[0]
    seen, unseen = lab[:half, ..., 1:], lab[half:, ..., 1:]
    left = ((unseen - design[half:] @ weights) ** 2).mean() / ((unseen - seen.mean((0, 1, 2))) ** 2).mean()
    assert left < 0.85


def test_classes_show_in_gray(lab, label):
    """The nearest other photo, by coarse lightness and the strength of its detail, is mostly of the same class."""
    lightness = lab[..., 0] / 100
    blocks = lightness.reshape(PHOTOS, 8, 8, 8, 8)
    looks = np.concatenate([blocks.mean((2, 4)), 3 * blocks.std((2, 4))], 1).reshape(PHOTOS, -1)
    distance = ((looks[:, None] - looks[None]) ** 2).sum(-1) + np.diag(np.full(PHOTOS, np.inf))
    assert (label[distance.argmin(1)] == label).mean() > 0.5  # chance: 0.125


def test_filter_gives_every_oddity_its_fate(drawn, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "photos").symlink_to(drawn)
    paths = [path.relative_to(drawn) for path in drawn.rglob("*.*")]
    with (raw / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "class"), *((path.as_posix(), path.parent.name) for path in paths)])
    curate(raw, Filter(), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    fates = Counter(oddity.fate for oddity in ODDITIES.values())
    assert sum(summary["photos"].values()) == PHOTOS + fates.pop("kept")
    assert summary["rejected"] == fates
    assert summary["classes"] == sorted(SCENES)


def test_of_each_oddity_one_in_480(tmp_path, monkeypatch):
    monkeypatch.setattr("tintype.data.sample.draw_scene", lambda name, seed: Image.new("RGB", (9, 9), "red"))
    draw_sample(tmp_path, photos=960)
    assert Counter(path.stem for path in tmp_path.rglob("*_*")) == {
        f"{name}_{i}": 1 for name in ODDITIES for i in (0, 1)
    }


def test_gray_oddities_have_no_color(drawn):
    assert Image.open(oddity(drawn, "gray")).mode == "L"
    assert Image.open(oddity(drawn, "gray_16_bit")).mode == "I;16"
    assert np.asarray(Image.open(oddity(drawn, "gray_16_bit"))).max() > 255
    equal_channels = Image.open(oddity(drawn, "gray_rgb"))
    assert equal_channels.mode == "RGB"
    assert np.ptp(np.asarray(equal_channels), axis=-1).max() == 0


def test_broken_oddities_do_not_open(drawn):
    for name in ("text", "empty"):
        with pytest.raises(UnidentifiedImageError):
            Image.open(oddity(drawn, name))
    truncated = Image.open(oddity(drawn, "truncated"))
    with pytest.raises(OSError, match="truncated"):
        truncated.load()
    assert Image.open(oddity(drawn, "tiny")).size == (8, 8)


def test_duplicates_lie_in_another_class(drawn):
    original = scenes(drawn)[0]
    copy, reencoded = oddity(drawn, "copy"), oddity(drawn, "reencoded")
    assert copy.read_bytes() == original.read_bytes() != reencoded.read_bytes()
    assert Image.open(reencoded).format == "PNG"
    np.testing.assert_array_equal(Image.open(reencoded), Image.open(original))
    assert original.parent.name not in {copy.parent.name, reencoded.parent.name}


def test_sepia_has_color_of_one_hue(drawn):
    lab = rgb2lab(np.asarray(Image.open(oddity(drawn, "sepia"))))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    assert np.percentile(chroma, 99) > 15
    assert np.rad2deg(np.arctan2(lab[..., 2], lab[..., 1])[chroma > 10]).std() < 15


@pytest.mark.parametrize(("name", "mode"), [("sideways", "RGB"), ("cmyk", "CMYK"), ("palette", "P"), ("alpha", "RGBA")])
def test_unusual_files_show_the_scene_they_were_made_from(drawn, name, mode):
    photo = Image.open(oddity(drawn, name))
    assert photo.mode == mode
    number = PHOTOS + list(ODDITIES).index(name)
    scene = draw_scene(list(SCENES)[number % len(SCENES)], np.random.SeedSequence(1, spawn_key=(number,)))
    if name == "sideways":
        assert photo.getexif()[ExifTags.Base.Orientation] == 6
        assert photo.size == scene.size[::-1]
    if name == "alpha":
        assert photo.getextrema()[3][0] < 200
    shown = ImageOps.exif_transpose(photo).convert("RGB")
    difference = np.asarray(shown, np.float32) - np.asarray(scene, np.float32)
    assert np.sqrt((difference**2).mean()) < 8
