"""Photos of every mode, compression and orientation, from paths and from memory, against the arrays in them."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tintype.images.decoding import read_photo, read_rgb
from tintype.images.photo import as_rgb

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

HEIGHT, WIDTH = 21, 37
RNG = np.random.default_rng(5)
GRAY, DEEP = (RNG.integers(0, 256 << shift, (HEIGHT, WIDTH), np.uint16) for shift in (0, 8))
GRAY = GRAY.astype(np.uint8)
BITS = GRAY > 127
RGBX = RNG.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
RGB = RGBX[..., :3]
DEEP_RGBA = RNG.integers(0, 65536, (HEIGHT, WIDTH, 4), np.uint16)
PALETTE = RNG.integers(0, 256, (256, 3), np.uint8)
SMOOTH = np.mgrid[40:250:21j, 30:240:37j][:, :, :].sum(0) / 2  # what JPEG keeps well

MODES = {
    "1": (Image.fromarray(BITS), np.where(BITS, 255, 0), None),
    "L": (Image.fromarray(GRAY), GRAY, None),
    "I;16": (Image.fromarray(DEEP), DEEP, None),
    "LA": (Image.fromarray(RGBX[..., :2], "LA"), RGBX[..., 0], RGBX[..., 1]),
    "RGB": (Image.fromarray(RGB), RGB, None),
    "RGBA": (Image.fromarray(RGBX), RGB, RGBX[..., 3]),
    "RGBX": (Image.fromarray(RGBX, "RGBX"), RGB, None),
    "CMYK": (
        Image.fromarray(RGBX, "CMYK"),
        np.rint((255.0 - RGBX[..., :3]) * (255.0 - RGBX[..., 3:]) / 255),  # ink on ink
        None,
    ),
}
PALETTED = Image.fromarray(GRAY, "P")
PALETTED.putpalette(PALETTE.tobytes())
MODES["P"] = (PALETTED, PALETTE[GRAY], None)

EIGHT_BITS = ("L", "LA", "RGB", "RGBA", "CMYK", "RGBX", "P", "I;16")
CASES = [
    *(("TIFF", mode, {"compression": how}) for mode in EIGHT_BITS for how in ("raw", "tiff_lzw", "packbits")),
    *(("TIFF", "1", {"compression": how}) for how in ("raw", "group3", "group4", "tiff_lzw")),
    *(("TIFF", mode, {"compression": "tiff_adobe_deflate"}) for mode in EIGHT_BITS),
    *(("PNG", mode, {}) for mode in ("1", "L", "I;16", "LA", "RGB", "RGBA", "P")),
    *(("WEBP", mode, {"lossless": True, "exact": True}) for mode in ("RGB", "RGBA")),
]


def turned(array: np.ndarray | None, orientation: int) -> np.ndarray | None:
    """How a viewer shows what is stored: EXIF 2.32, tag 0x0112, tells where row 0 and column 0 belong."""
    if array is None:
        return None
    mirrored = array[:, ::-1]
    transposed = np.swapaxes(array, 0, 1)
    return {
        1: array,
        2: mirrored,
        3: array[::-1, ::-1],
        4: array[::-1],
        5: transposed,
        6: transposed[:, ::-1],
        7: transposed[::-1, ::-1],
        8: transposed[::-1],
    }[orientation]


def compare(path: Path, pixels: np.ndarray, alpha: np.ndarray | None, tolerance: float = 0) -> None:
    """Read a file in every way, and compare with what it holds."""
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        photo = read_photo(source)
        assert photo.pixels.shape == pixels.shape
        np.testing.assert_allclose(photo.pixels.astype(float), pixels, atol=tolerance)
        assert (photo.alpha is None) == (alpha is None)
        if alpha is not None:
            np.testing.assert_array_equal(photo.alpha, alpha)
    pixels = np.floor(pixels / 257 + 0.5) if pixels.max() > 255 else pixels
    color = as_rgb(np.asarray(pixels, float))
    if alpha is not None:
        share = alpha[..., None] / 255
        color, tolerance = color * share + 255 * (1 - share), 1
    for source in (path, io.BytesIO(path.read_bytes())):
        np.testing.assert_allclose(read_rgb(source).astype(float), color, atol=tolerance)


@pytest.mark.parametrize(("kind", "mode", "options"), CASES, ids=lambda value: str(value))
def test_every_mode_and_orientation(tmp_path, kind, mode, options):
    image, pixels, alpha = MODES[mode]
    for orientation in range(1, 9):
        where = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {}
        if not where:
            where["exif"] = Image.Exif()
            where["exif"][274] = orientation
        image.save(tmp_path / "photo", kind, **options, **where)
        tolerance = 1 if mode == "CMYK" else 0
        compare(tmp_path / "photo", turned(pixels, orientation), turned(alpha, orientation), tolerance)


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossy_ones_too(tmp_path, kind, mode):
    pixels = SMOOTH if mode == "L" else np.stack([SMOOTH, SMOOTH[::-1], SMOOTH[:, ::-1]], axis=2)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        image = Image.fromarray(np.rint(pixels).astype(np.uint8))
        image.save(tmp_path / "photo", kind, quality=98, subsampling="4:4:4", exif=exif)
        want = turned(pixels, orientation)
        compare(tmp_path / "photo", as_rgb(want) if kind == "AVIF" else want, None, tolerance=6)


@pytest.mark.parametrize(
    ("channels", "planar"), [(1, None), (3, "contig"), (3, "separate"), (4, "contig"), (4, "separate")]
)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 5}, {"tile": (16, 16)}], ids=["whole", "strips", "tiles"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiffs_of_another_writer(tmp_path, planar, depth, order, layout, compression, channels):
    whole = DEEP_RGBA[..., :channels].astype(depth)
    pixels = whole[..., 0] if channels == 1 else whole[..., :3]
    alpha = None if channels < 4 else whole[..., 3] if depth == np.uint8 else whole[..., 3] >> 8
    if planar == "separate" and compression and depth == np.uint16:  # libtiff's decoder keeps the high bytes
        pixels = pixels >> 8
    stored = np.squeeze(np.moveaxis(whole, 2, 0) if planar == "separate" else whole)
    for orientation in range(1, 9):
        tifffile.imwrite(
            tmp_path / "photo",
            stored,
            photometric="minisblack" if channels == 1 else "rgb",
            planarconfig=planar,
            extrasamples=["unassalpha"] if channels == 4 else None,
            compression=compression,
            byteorder=order,
            extratags=[(274, "H", 1, orientation, True)],
            **layout,
        )
        compare(tmp_path / "photo", turned(pixels, orientation), turned(alpha, orientation))


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "CMYK", "RGBX", "RGB"])
def test_a_pillow_image_of_a_path(tmp_path, mode):
    """Pillow maps uncompressed TIFFs into memory, with the sides that they have once they are turned."""
    image, pixels, _ = MODES[mode]
    for orientation in range(1, 9):
        image.save(tmp_path / "photo.tif", tiffinfo={274: orientation})
        with Image.open(tmp_path / "photo.tif") as opened:
            photo = read_photo(opened)
            assert Path(opened.filename) == tmp_path / "photo.tif"
        np.testing.assert_allclose(photo.pixels.astype(float), turned(pixels, orientation), atol=mode == "CMYK")
