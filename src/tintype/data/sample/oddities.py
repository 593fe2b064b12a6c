"""Unusual files that any collection of photos contains, for the filter to keep or reject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps


def save(photo: Image.Image, path: Path, **options: Any) -> None:
    """Save a JPEG or PNG, by the suffix. A JPEG keeps its full chroma resolution."""
    photo.save(path, **{"quality": 95, "subsampling": 0, **options} if path.suffix == ".jpg" else options)


def _save_16_bit(photo: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257).save(path)


def _save_half(photo: Image.Image, path: Path) -> None:
    save(photo, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _save_again(photo: Image.Image, path: Path) -> None:
    save(photo, jpeg := path.with_suffix(".jpg"))
    Image.open(jpeg).save(path)
    jpeg.unlink()


def _sepia(photo: Image.Image) -> Image.Image:
    return ImageOps.colorize(photo.convert("L"), "#1c1006", "#fbeccb", mid="#9a7448")


def _save_sideways(photo: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # viewers rotate it a quarter turn clockwise
    save(photo.transpose(Image.Transpose.ROTATE_90), path, exif=exif)


def _save_with_alpha(photo: Image.Image, path: Path) -> None:
    photo.putalpha(Image.radial_gradient("L").resize(photo.size).point([255 - value // 2 for value in range(256)]))
    photo.save(path)


@dataclass(frozen=True)
class Oddity:
    """A kind of unusual file."""

    fate: str  # "kept", or why the filter rejects it
    suffix: str
    save: Callable[[Image.Image, Path], object]  # duplicates get the scene of another photo


ODDITIES = {  # files are named <key>_<number>
    "gray": Oddity("grayscale", ".jpg", lambda photo, path: save(photo.convert("L"), path)),
    "gray_rgb": Oddity("grayscale", ".jpg", lambda photo, path: save(photo.convert("L").convert("RGB"), path)),
    "gray_16_bit": Oddity("grayscale", ".png", _save_16_bit),
    "truncated": Oddity("truncated", ".jpg", _save_half),
    "text": Oddity("not an image", ".jpg", lambda photo, path: path.write_text("This is not a photo.\n")),
    "empty": Oddity("not an image", ".jpg", lambda photo, path: path.touch()),
    "tiny": Oddity("too small", ".png", lambda photo, path: photo.resize((8, 8)).save(path)),
    "copy": Oddity("duplicate", ".jpg", save),  # byte for byte
    "reencoded": Oddity("duplicate", ".png", _save_again),  # the same pixels
    "sepia": Oddity("kept", ".jpg", lambda photo, path: save(_sepia(photo), path)),
    "sideways": Oddity("kept", ".jpg", _save_sideways),
    "cmyk": Oddity("kept", ".jpg", lambda photo, path: save(photo.convert("CMYK"), path)),
    "palette": Oddity("kept", ".png", lambda photo, path: photo.quantize(128).save(path)),
    "alpha": Oddity("kept", ".png", _save_with_alpha),
}
