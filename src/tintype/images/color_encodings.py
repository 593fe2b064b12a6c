"""Color encodings that are named by numbers and not by an ICC profile, turned into one.

Their specifications: PNG, third edition (https://www.w3.org/TR/png-3/), 4.3 and 11.3.2, and ITU-T H.273, whose numbers
PNG's cICP shares with AVIF and HEIF.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.ExifTags import IFD

from tintype.images.faults import UnreadablePhoto
from tintype.images.icc_profiles import SRGB_CURVE, gray_profile, rgb_profile

D65 = (0.3127, 0.3290)
BT_709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
PRIMARIES = {  # H.273, table 2: white; red, green, blue
    1: (D65, BT_709),
    4: ((0.310, 0.316), ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08))),
    5: (D65, ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: (D65, ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    7: (D65, ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    9: (D65, ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: ((0.314, 0.351), ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    12: (D65, ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}


def _curve(kind: int, *numbers: float) -> bytes:
    """Return a parametricCurveType, ICC.1:2022, 10.18."""
    fixed = (round(number * 65536) for number in numbers)
    return b"para\0\0\0\0" + struct.pack(f">HH{len(numbers)}i", kind, 0, *fixed)


BT_709_CURVE = _curve(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
CURVES = {  # H.273, table 3: from the coded value to linear light
    1: BT_709_CURVE,
    4: _curve(0, 2.2),
    5: _curve(0, 2.8),
    6: BT_709_CURVE,
    8: _curve(0, 1.0),
    13: SRGB_CURVE,
    14: BT_709_CURVE,
    15: BT_709_CURVE,
}
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
UNSPECIFIED = 2
SRGB_GAMMA = 0.45455
"""What a PNG in sRGB says of its gamma for readers that know only powers (PNG, 11.3.2.5)."""
ADOBE_RGB = "R03"
"""InteroperabilityIndex of cameras' photos in Adobe RGB, which have no profile (DCF 2.0, 5.2)."""
PROFILE_BYTES = 1 << 23
"""Maximum size of a profile. Those of presses and printers have up to 4 MB."""
CLOSE = 0.001
"""Differences of chromaticities that rounding makes."""


def profile_of(info: Mapping[Any, Any], cicp: Sequence[int], *, is_png: bool, gray: bool) -> bytes | None:
    """Return the ICC profile of an image, or None if it is in sRGB, or says nothing.

    Of several statements of a PNG, the first counts: cICP, the profile, sRGB, then gamma and chromaticities. In AVIF
    and HEIF, the profile comes first.

    Args:
        info: the image's, from Pillow.
        cicp: as in `tintype.images.png_chunks.Coding`.
        is_png: whether the file is a PNG.
        gray: whether the pixels are gray.
    Raises:
        UnreadablePhoto: the photo has a high dynamic range, or its encoding is unknown.
    """
    profile = info.get("icc_profile")
    if profile and len(profile) > PROFILE_BYTES:
        raise UnreadablePhoto(f"a color profile of {len(profile) / 1e6:.0f} MB")
    if cicp and (is_png or not profile) and (UNSPECIFIED not in cicp[:2] or cicp[1] in HIGH_DYNAMIC_RANGE):
        return _of_cicp(cicp, gray)
    if profile or not is_png:
        return profile or None
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    if isinstance(info.get("srgb"), int) or not isinstance(gamma, float | None) or gamma == 0:
        return None
    is_srgb = gamma is None or abs(gamma - SRGB_GAMMA) < CLOSE
    curve = SRGB_CURVE if gamma is None or is_srgb else _curve(0, min(1 / gamma, 100.0))
    white: Any = D65
    primaries: Any = BT_709
    if isinstance(chromaticity, tuple):
        white, *three = zip(chromaticity[::2], chromaticity[1::2], strict=True)
        primaries = tuple(three)
    if is_srgb and np.allclose([white, *primaries], [D65, *BT_709], atol=CLOSE):
        return None
    return _profile(white, primaries, curve, gray)


def mark_adobe_rgb(image: Image.Image) -> None:
    """Give a photo that only its EXIF says to be in Adobe RGB the profile of it.

    Args:
        image: not rotated yet.
    """
    exif = image.info.get("exif")
    if image.info.get("icc_profile") or not isinstance(exif, bytes) or ADOBE_RGB.encode() not in exif:
        return
    with contextlib.suppress(Exception):  # EXIF is often broken
        if image.getexif().get_ifd(IFD.Interop).get(1) == ADOBE_RGB:
            primaries = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
            image.info["icc_profile"] = rgb_profile(D65, primaries, _curve(0, 563 / 256))


def _of_cicp(cicp: Sequence[int], gray: bool) -> bytes | None:
    primaries, transfer, _, full_range = cicp
    if transfer in HIGH_DYNAMIC_RANGE:
        name = HIGH_DYNAMIC_RANGE[transfer]
        raise UnreadablePhoto(f"a photo of high dynamic range ({name}), which is not read; save it in sRGB")
    if primaries not in PRIMARIES or transfer not in CURVES or not full_range:
        numbers = "/".join(str(number) for number in cicp)
        raise UnreadablePhoto(f"a photo in an unknown color encoding (cICP {numbers}); save it in sRGB")
    if (primaries, transfer) == (1, 13):
        return None
    return _profile(*PRIMARIES[primaries], CURVES[transfer], gray)


def _profile(white: Any, primaries: Any, curve: bytes, gray: bool) -> bytes | None:
    if gray:
        return gray_profile(curve)
    try:
        return rgb_profile(white, primaries, curve)
    except (np.linalg.LinAlgError, ZeroDivisionError, struct.error):  # chromaticities that no light has
        return None


def nclx_of(file: IO[bytes]) -> tuple[int, ...]:
    """Return the color encoding of an AVIF or HEIF, as in PNG's cICP, or () if the file names none.

    The box ``colr`` of type ``nclx`` (ISO/IEC 14496-12, 12.1.5) lies before the pixels. Its matrix and range are the
    decoder's business.
    """
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(b"colrnclx")
    file.seek(0, io.SEEK_SET)
    if at < 0 or len(head) < at + 12:
        return ()
    primaries, transfer = struct.unpack_from(">HH", head, at + 8)
    return primaries, transfer, 0, 1
