"""Files of every kind, written by Pillow, tifffile or by hand, read as they should look."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, features

from tintype.images.decoding import read_rgb
from tintype.images.opening import NO_FILE, NOT_AN_IMAGE, OVER_PIXEL_LIMIT, TRUNCATED, UNREADABLE, UnreadablePhoto

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")  # pytest undoes the filter that importing `reading` sets

LIMIT = 10**6
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quadrants(height: int = 32, width: int = 48) -> np.ndarray:
    """Red, green / blue, white: every turn and mirroring looks different."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2], rgb[: height // 2, width // 2 :] = RED, GREEN
    rgb[height // 2 :, : width // 2], rgb[height // 2 :, width // 2 :] = BLUE, WHITE
    return rgb


def stored(image: Image.Image, kind: str, **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


def read(file: io.BytesIO) -> np.ndarray:
    rgb = read_rgb(file, LIMIT)
    assert rgb.dtype == np.uint8
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3
    return rgb


def reason(file: io.BytesIO | Path, max_pixels: int = LIMIT) -> str:
    with pytest.raises(UnreadablePhoto) as caught:
        read_rgb(file, max_pixels)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


def png(
    width: int, height: int, depth: int, color: int, rows: bytes, chunks: tuple[tuple[bytes, bytes], ...] = ()
) -> io.BytesIO:
    """A PNG by hand: also what Pillow would not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in body))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "AVIF", "JPEG"])
def test_every_format(kind):
    if kind in ("WEBP", "AVIF") and not features.check(kind.lower()):
        pytest.skip(f"Pillow was built without {kind}")
    options = {
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 95, "subsampling": "4:4:4"},
        "JPEG": {"quality": 95},
    }.get(kind, {})
    rgb = read(stored(Image.fromarray(quadrants()), kind, **options)).astype(int)
    tolerance = 12 if kind in ("AVIF", "JPEG") else 0
    assert np.abs(rgb - quadrants())[2:14, 2:22].max() <= tolerance
    assert np.abs(rgb - quadrants())[18:30, 26:46].max() <= tolerance


def test_the_array_is_ones_own_and_the_file_stays_open():
    file = stored(Image.fromarray(quadrants()), "PNG")
    read(file)[:] = 0
    np.testing.assert_array_equal(read(file), quadrants())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_6_turns_clockwise(kind):
    # EXIF 2.32, tag 0x0112, value 6: row 0 is the right side, column 0 the top
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb = read(stored(Image.fromarray(quadrants()), kind, exif=exif))
    assert rgb.shape == (48, 32, 3)
    corners = [rgb[4, 4], rgb[4, -4], rgb[-4, 4], rgb[-4, -4]]
    np.testing.assert_allclose(corners, [BLUE, RED, WHITE, GREEN], atol=12)


def test_orientation_counts_even_if_the_rest_of_the_exif_is_broken(monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = stored(Image.fromarray(quadrants()), "JPEG", exif=exif)

    def broken(*_):
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr(Image.Exif, "tobytes", broken)
    assert read(file).shape == (48, 32, 3)


def test_rubbish_for_exif_is_no_reason_to_refuse():
    assert read(stored(Image.fromarray(quadrants()), "JPEG", exif=b"Exif\x00\x00rubbish")).shape == (32, 48, 3)


def test_cmyk_as_photoshop_stores_it():
    """Adobe's marker says that the inks are stored inverted; Pillow writes that marker."""
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, :8, 1] = ink[:, :8, 2] = 255  # magenta + yellow
    file = stored(Image.fromarray(ink, "CMYK"), "JPEG", quality=95)
    assert b"Adobe" in file.getvalue()
    rgb = read(file)
    np.testing.assert_allclose(rgb[8, 2], RED, atol=6)
    np.testing.assert_allclose(rgb[8, 13], WHITE, atol=6)


def cmyk_profile() -> bytes:
    """ICC.1:2001, 6.5.9 (lut8Type): a press whose cyan ink looks like sRGB's red; all others are black."""
    lab8 = {(0, 0, 0, 0): (255, 128, 128), (1, 0, 0, 0): (139, 209, 198)}  # white; L 54.3, a 80.8, b 69.9 at D50
    grid = b"".join(
        bytes(lab8.get((c, m, y, k), (0, 128, 128))) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)
    )
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + bytes(range(256)) * 4 + grid + bytes(range(256)) * 3
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut))
    header = struct.pack(">I4xI4s4s4s12x4s", 144 + len(lut), 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + tags + lut


def test_cmyk_through_its_profile():
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, :8, 0] = 255  # cyan, which without the profile would be (0, 255, 255)
    rgb = read(stored(Image.fromarray(ink, "CMYK"), "JPEG", quality=95, icc_profile=cmyk_profile()))
    np.testing.assert_allclose(rgb[8, 2], RED, atol=8)
    np.testing.assert_allclose(rgb[8, 13], WHITE, atol=8)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def srgb_with(**primaries: tuple[float, float, float]) -> bytes:
    """Pillow's sRGB profile with other primaries (XYZ, D50)."""
    profile = bytearray(SRGB)
    for i in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        if name.decode() in primaries:
            struct.pack_into(">3i", profile, offset + 8, *(round(x * 65536) for x in primaries[name.decode()]))
    return bytes(profile)


# As in Apple's profile; the curve is sRGB's.
DISPLAY_P3 = srgb_with(
    rXYZ=(0.51512, 0.24120, -0.00105), gXYZ=(0.29198, 0.69225, 0.04189), bXYZ=(0.15710, 0.06657, 0.78407)
)
# sRGB's own red is (0.43604, 0.22249, 0.01392): as far off as profiles of several makers are.
ALMOST_SRGB = srgb_with(rXYZ=(0.43640, 0.22249, 0.01392))


@pytest.mark.parametrize("alpha", [False, True])
def test_display_p3_becomes_srgb(alpha):
    # CSS Color 4: sRGB's red is color(display-p3 0.9175 0.2003 0.1386)
    image = Image.new("RGBA" if alpha else "RGB", (4, 4), (234, 51, 35))
    rgb = read(stored(image, "PNG", icc_profile=DISPLAY_P3))
    np.testing.assert_allclose(rgb[0, 0], RED, atol=2)


@pytest.mark.parametrize(
    "profile",
    [SRGB, ALMOST_SRGB, DISPLAY_P3[:200], b"rubbish", cmyk_profile()],
    ids=["srgb", "almost", "cut", "rubbish", "cmyk"],
)
def test_a_profile_that_says_nothing_new_or_nothing_sound_changes_no_pixel(profile):
    noise = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(read(stored(Image.fromarray(noise), "PNG", icc_profile=profile)), noise)


RAMP16 = np.array([[0, 255, 256, 257 * 100, 65535]] * 3, np.uint16)
RAMP8 = [0, 1, 1, 100, 255]  # of 257 levels each, rounded


def test_16_bit_gray_png():
    rgb = read(stored(Image.fromarray(RAMP16), "PNG"))
    np.testing.assert_array_equal(rgb[1], np.stack([RAMP8] * 3, axis=1))


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_gray_tiff(order):
    file = io.BytesIO()
    tifffile.imwrite(file, RAMP16, byteorder=order)
    np.testing.assert_array_equal(read(file)[1], np.stack([RAMP8] * 3, axis=1))


def test_16_bit_gray_in_32_bits():
    rgb = read(stored(Image.fromarray(RAMP16.astype(np.int32)), "TIFF"))
    np.testing.assert_array_equal(rgb[1], np.stack([RAMP8] * 3, axis=1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_rgb(kind):
    colors = np.stack([RAMP16, RAMP16[:, ::-1], RAMP16 * 0], axis=-1)
    if kind == "PNG":
        file = png(5, 3, 16, 2, b"".join(b"\0" + row.astype(">u2").tobytes() for row in colors))
    else:
        tifffile.imwrite(file := io.BytesIO(), colors, photometric="rgb")
    np.testing.assert_array_equal(read(file)[2], np.stack([RAMP8, RAMP8[::-1], [0] * 5], axis=1))


def test_transparency_shows_white():
    # 128/255 of red over white: 255, 255 * 127/255 = 127, 127
    rgba = np.array([[(255, 0, 0, 255), (255, 0, 0, 128), (255, 0, 0, 0)]], np.uint8)
    rgb = read(stored(Image.fromarray(rgba), "PNG"))
    np.testing.assert_allclose(rgb[0], [RED, (255, 127, 127), WHITE], atol=1)

    la = np.array([[(0, 255), (0, 128), (0, 0)]], np.uint8)
    rgb = read(stored(Image.fromarray(la, "LA"), "PNG"))
    np.testing.assert_allclose(rgb[0], [(0, 0, 0), (127, 127, 127), WHITE], atol=1)


def test_transparent_color_of_a_palette_and_of_rgb():
    palette = Image.new("P", (3, 1))
    palette.putpalette([*RED, *GREEN, *BLUE])
    palette.putdata([0, 1, 2])
    np.testing.assert_array_equal(read(stored(palette, "PNG"))[0], [RED, GREEN, BLUE])
    np.testing.assert_array_equal(read(stored(palette, "PNG", transparency=1))[0], [RED, WHITE, BLUE])
    np.testing.assert_array_equal(read(stored(palette, "GIF", transparency=1))[0], [RED, WHITE, BLUE])
    half = stored(palette, "PNG", transparency=bytes([255, 0, 128]))
    np.testing.assert_allclose(read(half)[0], [RED, WHITE, (127, 127, 255)], atol=1)
    rgb = Image.fromarray(np.array([[RED, GREEN]], np.uint8))
    np.testing.assert_array_equal(read(stored(rgb, "PNG", transparency=GREEN))[0], [RED, WHITE])


def test_one_bit():
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    np.testing.assert_array_equal(read(stored(bits, "PNG"))[0], [(0, 0, 0), WHITE])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    rgb = read(
        stored(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
    )
    np.testing.assert_array_equal(rgb, np.full((8, 8, 3), RED))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a photo\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
    ids=["empty", "text", "eps", "svg"],
)
def test_no_image(tmp_path, content):
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    assert reason(file) == NOT_AN_IMAGE


def test_no_file(tmp_path):
    assert reason(tmp_path / "missing.jpg") == NO_FILE
    assert reason(tmp_path) == "is a directory"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "AVIF"])
def test_cut_anywhere(kind):
    if kind in ("WEBP", "AVIF") and not features.check(kind.lower()):
        pytest.skip(f"Pillow was built without {kind}")
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    whole = stored(Image.fromarray(noise), kind).getvalue()
    reasons = {reason(io.BytesIO(whole[: round(len(whole) * part)])) for part in np.linspace(0, 0.98, 50)}
    assert reasons <= {TRUNCATED, NOT_AN_IMAGE, UNREADABLE}
    if kind not in ("WEBP", "AVIF"):  # their libraries do not tell what is wrong
        assert reason(io.BytesIO(whole[: len(whole) * 3 // 4])) == TRUNCATED


def test_bits_flipped_anywhere_raise_nothing_else():
    generator = np.random.default_rng(1)
    outcomes = set()
    for kind in ("JPEG", "PNG", "TIFF", "GIF"):
        whole = np.frombuffer(stored(Image.fromarray(quadrants()), kind).getvalue(), np.uint8)
        for _ in range(100):
            broken = whole.copy()
            broken[generator.integers(0, len(whole), 4)] = generator.integers(0, 256, 4)
            try:
                outcomes.add(read_rgb(io.BytesIO(broken.tobytes()), LIMIT).shape[2])
            except UnreadablePhoto as error:
                outcomes.add(error.reason)
    others = {one for one in outcomes if isinstance(one, str) and one.startswith(("TIFF of a kind", "a TIFF"))}
    assert outcomes - others <= {3, TRUNCATED, NOT_AN_IMAGE, UNREADABLE, OVER_PIXEL_LIMIT}


def test_bomb_is_refused_by_its_header(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # to have it back: a large limit raises it
    bomb = png(60_000, 60_000, 8, 2, b"\0" * 1000)  # 10.8 GB, were it decoded
    assert len(bomb.getvalue()) < 200
    assert reason(bomb) == OVER_PIXEL_LIMIT
    assert reason(bomb, max_pixels=3_599_999_999) == OVER_PIXEL_LIMIT


def test_floats_are_refused():
    assert reason(stored(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")) == UNREADABLE


def test_the_limit_is_the_callers_alone(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    file = stored(Image.fromarray(quadrants()), "PNG")  # 1,536 pixels
    assert reason(file, max_pixels=1535) == OVER_PIXEL_LIMIT
    assert read_rgb(file, max_pixels=1536).shape == (32, 48, 3)


def test_pillows_settings_stay_as_they_are_and_no_size_is_warned_of(tmp_path):
    palette = Image.new("P", (3, 1))
    palette.putpalette([*RED, *GREEN, *BLUE])
    palette.save(tmp_path / "palette.png", transparency=bytes([255, 0, 128]))
    (tmp_path / "bomb.png").write_bytes(png(10_000, 10_000, 8, 2, b"\0").getvalue())
    code = (
        "import sys, warnings; from pathlib import Path; from PIL import Image\n"
        "limit = Image.MAX_IMAGE_PIXELS\n"
        "from tintype.images.decoding import *\n"
        "with warnings.catch_warnings(action='ignore'): read_rgb(Path('palette.png'), 10)\n"
        "try: read_rgb(Path('bomb.png'), 10)\n"
        "except UnreadablePhoto as error: print(error)\n"
        "assert Image.MAX_IMAGE_PIXELS == limit and not any('PIL' in str(one) for one in warnings.filters)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{OVER_PIXEL_LIMIT}\n", "")
