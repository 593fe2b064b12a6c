"""The Lab cache: what goes in comes out, in order, whatever the photos' shapes and the number of threads."""

import csv
import hashlib
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from skimage.color import rgb2lab
from torch import Tensor

from tintype.color.lab import lab_to_rgb, rgb8_to_lab, rgb_to_lab, to_uint8
from tintype.config import Preprocess
from tintype.data import cache as cache_module
from tintype.data.cache import LabCache, LabSplit
from tintype.data.cache_builder import build_cache
from tintype.data.lab_codes import CODES, decode, encode
from tintype.errors import UserError
from tintype.files import sha256_of, write_sums

FLOWERS = Path(__file__).parents[1].parent / "shared/data/flowers"
MAX_PIXELS = 10_000_000
SIZE = 32


def photo(height: int, width: int, seed: int) -> Image.Image:
    """Smooth colored blobs with some grain."""
    rng = np.random.default_rng(seed)
    blobs = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(blobs.resize((width, height), Image.Resampling.BICUBIC), float)
    return Image.fromarray((smooth + rng.normal(0, 5, smooth.shape)).clip(0, 255).astype(np.uint8))


# path, class, split, height, width: no order of names, classes or splits
PHOTOS = [
    ("z/tall.png", "rose", "train", 90, 40),
    ("a/wide.png", "lily", "test", 40, 120),
    ("m/square.png", "rose", "train", 32, 32),
    ("b/tiny.png", "", "train", 17, 20),
    ("k/half.png", "aster", "validation", 20, 64),
    ("c/thin.png", "lily", "train", 300, 16),
    *[(f"n/{i}.png", "rose", "train", 48, 64) for i in range(20)],
]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for seed, (path, _, _, height, width) in enumerate(PHOTOS):
        (folder / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        photo(height, width, seed).save(folder / "photos" / path)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "class", "split", "width", "height", "sha256"))
        for path, label, split, height, width in PHOTOS:
            writer.writerow((path, label, split, width, height, sha256_of(folder / "photos" / path)))
    return folder


def build(raw: Path, out: Path, workers: int | None = None, **params: object) -> LabCache:
    config = Preprocess(**{"image_size": SIZE, **params})
    build_cache(raw, raw / "manifest.csv", config, MAX_PIXELS, out, workers)
    return LabCache.open(out)


def every_color() -> list[np.ndarray]:
    """All 16,777,216 colors, 65,536 at a time, as photos (256, 256, 3)."""
    v = np.arange(256, dtype=np.uint8)
    return [np.stack(np.broadcast_arrays(v[:, None], v, np.uint8(blue)), axis=-1) for blue in v]


def rgb8(codes: Tensor) -> np.ndarray:
    return to_uint8(lab_to_rgb(decode(codes))).permute(1, 2, 0).numpy()


def test_the_exact_cache_gives_every_8_bit_color_back() -> None:
    """Encoded from the builder's conversion and from the networks' own."""
    wrong = 0
    for colors in every_color():
        quick = encode(rgb8_to_lab(colors), "exact")
        plain = encode(rgb_to_lab(torch.from_numpy(colors).permute(2, 0, 1) / 255), "exact")
        wrong += (rgb8(quick) != colors).any(-1).sum()
        if not torch.equal(quick, plain):  # rounding may differ by one code: then both must come back
            wrong += (rgb8(plain) != colors).any(-1).sum()
    assert wrong == 0


def psnr_of_uint8(photos: list[np.ndarray]) -> float:
    errors = [rgb8(encode(rgb8_to_lab(photo), "uint8")).astype(float) - photo for photo in photos]
    return float(10 * np.log10(255**2 / np.mean([(error**2).mean() for error in errors])))


def test_the_uint8_cache_keeps_50_db() -> None:
    """In colors as strong as photos have them; over the whole cube, whose strong colors cost most, 45."""
    muted = [np.asarray(ImageEnhance.Color(photo(64, 64, seed)).enhance(0.4)) for seed in range(20)]
    assert psnr_of_uint8(muted) > 50  # measured: 52.3
    v = np.arange(0, 256, 5, dtype=np.uint8)
    assert psnr_of_uint8([np.stack(np.meshgrid(v, v, v), axis=-1).reshape(len(v), -1, 3)]) > 45  # measured: 45.5


@pytest.mark.skipif(not FLOWERS.is_dir(), reason="needs the flower photos")
def test_the_uint8_cache_keeps_50_db_in_real_photos() -> None:
    files = sorted(FLOWERS.rglob("*.jpg"))[::200]
    assert psnr_of_uint8([np.asarray(Image.open(file).convert("RGB").resize((128, 128))) for file in files]) > 50


def test_codes_are_what_the_documentation_says() -> None:
    lab = torch.tensor([[50.0, -20.5, 107.25], [100, 0, -128]]).view(2, 3, 1, 1)
    assert encode(lab, "exact").flatten().tolist() == [15000, -5248, 27456, 30000, 0, -32768]
    assert encode(lab, "uint8").flatten().tolist() == [128, 108, 235, 255, 128, 0]  # 127.5 and 107.5 go to even
    with pytest.raises(ValueError, match=r"codes of torch.int32; allowed: torch.int16, torch.uint8"):
        decode(torch.zeros(3, 1, 1, dtype=torch.int32))


@pytest.mark.parametrize("precision", sorted(CODES))
def test_cached_photos_are_skimages(raw: Path, tmp_path: Path, precision: str) -> None:
    """Against PIL, a plain center crop, OpenCV's resize and scikit-image's Lab."""
    cache = build(raw, tmp_path, precision=precision)
    where = {path: (split, i) for split in cache_module.SPLITS for i, path in enumerate(cache.split(split).names)}
    step = {"exact": [1 / 300, 1 / 256, 1 / 256], "uint8": [1 / 2.55, 1, 1]}[precision]
    for path, _, _, height, width in PHOTOS:
        rgb = np.asarray(Image.open(raw / "photos" / path))
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        square = np.ascontiguousarray(rgb[top : top + short, left : left + short])
        how = cv2.INTER_AREA if short > SIZE else cv2.INTER_CUBIC
        want = np.moveaxis(rgb2lab(cv2.resize(square, (SIZE, SIZE), interpolation=how)), -1, 0)
        split, i = where[path]
        got = decode(cache.split(split).codes[i]).numpy()
        assert (np.abs(got - want) <= 0.5 * np.array(step)[:, None, None] + 1e-4).all(), path


def test_squashed_photos_show_all_of_themselves(raw: Path, tmp_path: Path) -> None:
    """Their mean color is the whole photo's, also where one side shrinks and the other grows (20x64, 300x16)."""
    cache = build(raw, tmp_path, fit="squash")
    for split in cache_module.SPLITS:
        for path, codes in zip(cache.split(split).names, cache.split(split).codes, strict=True):
            rgb = to_uint8(lab_to_rgb(decode(codes))).double().mean(dim=(1, 2)).numpy()
            want = np.asarray(Image.open(raw / "photos" / path), float).mean(axis=(0, 1))
            np.testing.assert_allclose(rgb, want, atol=2.5)


def test_photos_and_labels_are_in_the_manifests_order(raw: Path, tmp_path: Path) -> None:
    cache = build(raw, tmp_path)
    assert cache.classes == ["aster", "lily", "rose"]
    assert cache.image_size == SIZE
    for name in cache_module.SPLITS:
        split = cache.split(name)
        wanted = [(path, label) for path, label, of, *_ in PHOTOS if of == name]
        assert [
            (path, cache.classes[i] if i >= 0 else "") for path, i in zip(split.names, split.labels, strict=True)
        ] == wanted
        assert split.codes.shape == (len(wanted), 3, SIZE, SIZE) == (len(split), *split.codes.shape[1:])
        assert split.labels.dtype == np.int64
        assert cache.photos[name] == len(wanted)


def test_threads_change_no_byte(raw: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads(), cv2.getNumThreads()
    one, many = build(raw, tmp_path / "one", workers=1), build(raw, tmp_path / "many", workers=5)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == threads
    files = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert files == sorted(
        ["SHA256SUMS", "cache.json", *(f"{s}.{kind}" for s in cache_module.SPLITS for kind in ("csv", "npy"))]
    )
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "many" / file).read_bytes()
    assert one.digest == many.digest


def test_the_digest_covers_codes_and_classes(raw: Path, tmp_path: Path) -> None:
    digests = [
        build(raw, tmp_path / "a").digest,
        build(raw, tmp_path / "b", precision="uint8").digest,
        build(raw, tmp_path / "c", fit="squash").digest,
    ]
    relabeled = tmp_path / "raw"
    relabeled.mkdir()
    (relabeled / "photos").symlink_to(raw / "photos")
    (relabeled / "manifest.csv").write_text(
        (raw / "manifest.csv").read_text().replace("tall.png,rose", "tall.png,lily")
    )
    digests.append(build(relabeled, tmp_path / "d").digest)
    assert len(set(digests)) == 4
    assert all(len(digest) == hashlib.sha256().digest_size * 2 for digest in digests)


def test_a_split_without_photos_and_photos_without_classes(raw: Path, tmp_path: Path) -> None:
    bare = tmp_path / "raw"
    bare.mkdir()
    (bare / "photos").symlink_to(raw / "photos")
    rows = [("z/tall.png", "train"), ("a/wide.png", "test")]
    lines = [f"{path},,{split},{sha256_of(bare / 'photos' / path)}\n" for path, split in rows]
    (bare / "manifest.csv").write_text("path,class,split,sha256\n" + "".join(lines))
    cache = build(bare, tmp_path / "cache")
    assert cache.classes == []
    assert len(cache.split("validation")) == 0
    assert cache.split("train").labels.tolist() == [-1]


def test_a_split_travels_by_its_files_name(raw: Path, tmp_path: Path) -> None:
    split = build(raw, tmp_path).split("train")
    assert isinstance(split.codes, np.memmap)
    assert not split.codes.flags.writeable
    sent = pickle.dumps(split)
    assert len(sent) < 4000 < split.codes.nbytes
    arrived = pickle.loads(sent)
    assert isinstance(arrived.codes, np.memmap)
    np.testing.assert_array_equal(arrived.codes, split.codes)
    assert (arrived.names, arrived.classes, arrived.labels.tolist()) == (
        split.names,
        split.classes,
        split.labels.tolist(),
    )

    part = LabSplit(split.codes[2:4], split.labels[2:4], split.names[2:4], split.classes)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).codes, split.codes[2:4])


def test_a_photo_that_became_unreadable_is_named_and_nothing_is_left(raw: Path, tmp_path: Path) -> None:
    broken = tmp_path / "raw"
    (broken / "photos").mkdir(parents=True)
    (broken / "photos" / "x.png").write_bytes(b"no photo")
    sha256 = hashlib.sha256(b"no photo").hexdigest()
    (broken / "manifest.csv").write_text(f"path,class,split,sha256\nx.png,,train,{sha256}\n")
    build(raw, tmp_path / "cache")
    with pytest.raises(UserError, match=r"x\.png: not an image, though the filter accepted it"):
        build(broken, tmp_path / "cache")
    assert not (tmp_path / "cache" / "cache.json").exists()  # what was there belonged to other photos
    assert not (tmp_path / "cache" / ".unfinished").exists()


def test_a_full_disk_is_told_before_the_work(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"the Lab cache needs 159.7 kB, 1.0 kB are free; make room, or set a smaller"):
        build(raw, tmp_path)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("path,class\na.png,x\n", "needed are path, class, split"),
        ("path,class,split\na.png,x,train\n", "and sha256"),
        ("path,class,split\na.png,x,exam\n", r"split \(one of train, validation, test\)"),
        ("path,class,split\n", "no photos"),
    ],
)
def test_a_useless_manifest_is_refused(tmp_path: Path, manifest: str, message: str) -> None:
    (tmp_path / "manifest.csv").write_text(manifest)
    with pytest.raises(UserError, match=message):
        build(tmp_path, tmp_path / "cache")


def test_what_is_no_cache_is_refused(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no Lab cache \(no cache.json\); the stage preprocess makes one"):
        LabCache.open(tmp_path / "nowhere")
    cache = build(raw, tmp_path)
    with pytest.raises(ValueError, match="no split 'exam'; allowed: train, validation, test"):
        cache.split("exam")
    (tmp_path / "train.npy").write_bytes((tmp_path / "train.npy").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"train\.npy: damaged, .* delete .* `dvc repro -s -f preprocess`"):
        cache.split("train")
    about = json.loads((tmp_path / "cache.json").read_text())
    (tmp_path / "cache.json").write_text(json.dumps({**about, "format": 0}))
    write_sums(tmp_path)
    with pytest.raises(UserError, match="another version of tintype"):
        LabCache.open(tmp_path)
    (tmp_path / "cache.json").write_text("{")
    with pytest.raises(UserError, match=r"cache\.json: damaged"):
        LabCache.open(tmp_path)
