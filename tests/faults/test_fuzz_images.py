"""Damaged image files: each is a photo, or refused by the documented error, and soon."""

import io
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutation import cases, mutated, outcome
from PIL import Image

from tintype.images.decoding import read_photo
from tintype.images.opening import UnreadablePhoto
from tintype.images.photo import Photo

SECONDS = 20
"""Longest time that a file of a few hundred bytes may take, on a busy machine. A hang is longer."""
MAX_PIXELS = 1_000_000
RNG = np.random.default_rng(0)


def _files():
    """Small, valid files of many kinds, by name."""
    rgb = Image.fromarray(RNG.integers(0, 256, (6, 9, 3), np.uint8))
    gray, alpha = rgb.convert("L"), rgb.convert("RGBA")
    deep = Image.fromarray(RNG.integers(0, 65536, (6, 9), np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    exif.get_ifd(0x8769)[0x9003] = "1950:01:01 00:00:00"
    made = {
        "png": (rgb, "PNG", {}),
        "png gray": (gray, "PNG", {"exif": exif, "dpi": (300, 300)}),
        "png 16": (deep, "PNG", {}),
        "png alpha": (alpha, "PNG", {}),
        "png palette": (rgb.convert("P"), "PNG", {"transparency": 3}),
        "png bits": (gray.convert("1"), "PNG", {}),
        "jpeg": (rgb, "JPEG", {"exif": exif, "comment": b"words"}),
        "jpeg gray": (gray, "JPEG", {"progressive": True}),
        "jpeg cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "tiff": (rgb, "TIFF", {"exif": exif}),
        "tiff gray": (gray, "TIFF", {"compression": "tiff_lzw"}),
        "tiff 16": (deep, "TIFF", {}),
        "tiff fax": (gray.convert("1"), "TIFF", {"compression": "group4"}),
        "tiff jpeg": (rgb, "TIFF", {"compression": "jpeg"}),
        "tiff deflate": (alpha, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "gif": (gray, "GIF", {"comment": b"words"}),
        "gif frames": (gray, "GIF", {"save_all": True, "append_images": [gray.rotate(180)]}),
        "webp": (rgb, "WEBP", {"exif": exif}),
        "webp lossless": (alpha, "WEBP", {"lossless": True}),
        "bmp": (rgb, "BMP", {}),
        "avif": (rgb, "AVIF", {"quality": 30}),
    }
    for name, (image, format, options) in made.items():
        file = io.BytesIO()
        image.save(file, format, **options)
        yield name, file.getvalue()


FILES = dict(_files())


def read(content):
    begun = time.monotonic()
    found = outcome(lambda: read_photo(io.BytesIO(content), MAX_PIXELS), UnreadablePhoto)
    if isinstance(found, Photo):
        assert found.pixels.size <= 3 * MAX_PIXELS
        assert found.pixels.dtype in (np.uint8, np.uint16)
    assert time.monotonic() - begun < SECONDS


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_photos(name):
    assert read_photo(io.BytesIO(FILES[name])).pixels.shape[:2] in ((6, 9), (9, 6))


@pytest.mark.filterwarnings("ignore")
@cases(share=0.5)
@given(mutated(FILES))
@example(b"")
def test_damaged_files(content):
    read(content)


@pytest.mark.filterwarnings("ignore")
@cases(share=0.05)
@given(st.sampled_from(sorted(FILES)), st.binary(max_size=300))
def test_a_sound_beginning_and_then_anything(name, rest):
    read(FILES[name][:16] + rest)
