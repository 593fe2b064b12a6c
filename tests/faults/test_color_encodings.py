"""Colors and grays that a file encodes in its own way, against the formulas of its specification."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tintype.images.decoding import read_photo, read_rgb
from tintype.images.encoding import encode_photo
from tintype.images.faults import UnreadablePhoto
from tintype.images.icc_profiles import srgb_profile
from tintype.images.photo import Photo

RAMP = np.arange(256)
DEEP_RAMP = np.arange(0, 65536, 51)
SRGB_CHRM = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3_CHRM = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


def png(pixels: np.ndarray, *chunks: tuple[bytes, bytes], depth: int = 0) -> io.BytesIO:
    """A PNG by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = pixels.shape[:2]
    kind = {2: 0, 3: {2: 4, 3: 2, 4: 6}.get(pixels.shape[-1], 0)}[pixels.ndim]
    bits = depth or pixels.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    if depth in (2, 4):
        shifts = np.arange(8 - depth, -1, -depth)
        rows = (rows.reshape(height, -1, 8 // depth) << shifts).sum(2).astype(np.uint8)
    body = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))]
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in [*body, (b"IEND", b"")]))


def gamma(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def chromaticities(values: tuple[float, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values))


def colored(ramp: np.ndarray, dtype: type) -> np.ndarray:
    return np.stack([ramp, ramp, ramp], axis=1)[None].astype(dtype)


@pytest.mark.parametrize("exponent", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("is_gray", [True, False])
def test_gamma(exponent, dtype, is_gray):
    ramp = RAMP if dtype == np.uint8 else DEEP_RAMP
    white = np.iinfo(dtype).max
    pixels = ramp[None].astype(dtype) if is_gray else colored(ramp, dtype)
    # 1 / 2.2 is also what a PNG in sRGB says, and is taken for that
    file = png(pixels, gamma(1 / exponent if exponent != 2.2 else 0.5))
    exponent = 2.0 if exponent == 2.2 else exponent
    want = srgb((ramp / white) ** exponent) * white
    photo = read_photo(file)
    assert photo.pixels.shape == pixels.shape
    assert photo.pixels.dtype == dtype
    got = photo.pixels[0] if is_gray else photo.pixels[0, :, 1]
    np.testing.assert_allclose(got, want, atol=0.6 if white == 255 else 20)
    if exponent == 1.0:
        np.testing.assert_allclose(read_photo(png(np.full((2, 2), 128, np.uint8), gamma(1.0))).pixels, 188)
        assert read_rgb(png(np.full((2, 2), 128, np.uint8), gamma(1.0)))[0, 0, 0] == 188


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0.45455)],
        [gamma(0.45455), chromaticities(SRGB_CHRM)],
        [gamma(1.0), (b"sRGB", b"\0")],
        [gamma(1.0), (b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))],
        [gamma(1.0), (b"cICP", bytes([1, 13, 0, 1]))],
        [(b"cICP", bytes([2, 2, 0, 1]))],
        [],
    ],
    ids=["gamma of sRGB", "its chromaticities", "sRGB wins", "iCCP wins", "cICP wins", "unspecified", "nothing"],
)
def test_what_is_in_srgb_stays(chunks):
    noise = np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)
    np.testing.assert_array_equal(read_photo(png(noise, *chunks)).pixels, noise)
    np.testing.assert_array_equal(read_rgb(png(noise, *chunks)), noise)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "chunks",
    [
        [(b"cICP", bytes([12, 13, 0, 1]))],
        [chromaticities(P3_CHRM)],
        [gamma(0.45455), chromaticities(P3_CHRM)],
        [(b"cICP", bytes([12, 13, 0, 1])), (b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile())), (b"sRGB", b"\0")],
    ],
    ids=["cicp", "chromaticities", "both", "cicp before iccp"],
)
def test_display_p3(dtype, chunks):
    # CSS Color 4: sRGB's red is color(display-p3 0.9175 0.2003 0.1386)
    white = np.iinfo(dtype).max
    pixels = np.rint(np.array([0.9175, 0.2003, 0.1386]) * white).astype(dtype)[None, None].repeat(4, 1)
    photo = read_photo(png(pixels, *chunks))
    assert photo.pixels.dtype == dtype
    np.testing.assert_allclose(photo.pixels[0, 0] / white, [1, 0, 0], atol=0.012)


def test_bt_709_and_linear_light():
    coded = RAMP / 255
    by_709 = np.where(coded < 0.081, coded / 4.5, ((coded + 0.099) / 1.099) ** (1 / 0.45))
    for cicp, linear in (((1, 1), by_709), ((1, 8), coded), ((9, 15), by_709)):
        photo = read_photo(png(colored(RAMP, np.uint8), (b"cICP", bytes([*cicp, 0, 1]))))
        np.testing.assert_allclose(photo.pixels[0, 2:, 0], srgb(linear)[2:] * 255, atol=1.6)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused_by_name(transfer, name):
    for read in (read_photo, read_rgb):
        with pytest.raises(UnreadablePhoto, match=rf"high dynamic range \({name}\)"):
            read(png(colored(RAMP, np.uint8), (b"cICP", bytes([9, transfer, 0, 1]))))
    with pytest.raises(UnreadablePhoto, match="unknown color encoding"):
        read_photo(png(colored(RAMP, np.uint8), (b"cICP", bytes([1, 13, 0, 0]))))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_written_is_what_it_says(dtype):
    """A photo of linear light comes back in sRGB, and says so; read again, it is the same."""
    for kind in ("png", "tiff"):
        photo = read_photo(png(colored(RAMP, dtype), gamma(1.0)))
        content = encode_photo(photo, kind)
        image = Image.open(io.BytesIO(content))
        assert image.info["icc_profile"] == srgb_profile()
        assert "gamma" not in image.info
        np.testing.assert_array_equal(read_photo(io.BytesIO(content)).pixels, photo.pixels)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_significant_bits_of_a_png(bits):
    values = np.arange(0, 2**bits, 3)
    values = np.append(values, 2**bits - 1)[None]
    want = np.rint(values * 65535 / (2**bits - 1))
    shift = 16 - bits
    for pixels in (values << shift, np.rint(values * 65535 / (2**bits - 1)).astype(int), values):
        photo = read_photo(png(pixels.astype(np.uint16), (b"sBIT", bytes([bits]))))
        np.testing.assert_allclose(photo.pixels, want, atol=1)
        assert photo.pixels[0, -1] == 65535
        assert read_rgb(png(pixels.astype(np.uint16), (b"sBIT", bytes([bits]))))[0, -1].tolist() == [255] * 3
    rgb = np.stack([values << shift] * 3, axis=2).astype(np.uint16)
    np.testing.assert_allclose(read_photo(png(rgb, (b"sBIT", bytes([bits] * 3)))).pixels[..., 1], want, atol=1)


def test_significant_bits_of_eight():
    levels = np.arange(32)
    rgb = np.stack([levels << 3, np.arange(0, 64, 2) << 2, levels << 3], axis=1)[None].astype(np.uint8)
    photo = read_photo(png(rgb, (b"sBIT", bytes([5, 6, 5]))))
    np.testing.assert_allclose(photo.pixels[0, :, 0], levels * 255 / 31, atol=0.5)
    np.testing.assert_allclose(photo.pixels[0, :, 1], np.arange(0, 64, 2) * 255 / 63, atol=0.5)
    full = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(read_photo(png(full, (b"sBIT", b"\x08"))).pixels, full)
    dark = np.arange(8, dtype=np.uint16)[None] << 4  # a dark photo, whose white is elsewhere
    np.testing.assert_allclose(read_photo(png(dark, (b"sBIT", b"\x0c"))).pixels, dark, atol=1)


def packed_tiff(values: np.ndarray, bits: int, order: str, *, deflated: bool, inverted: bool = False) -> io.BytesIO:
    """A TIFF by hand, whose samples lie side by side without gaps (TIFF 6.0, section 3)."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    spread = (values.reshape(height, -1, 1) >> np.arange(bits - 1, -1, -1)) & 1
    data = np.packbits(spread.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    data = zlib.compress(data) if deflated else data
    many = channels > 1
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, bits), (259, 3, 1, 8 if deflated else 1)]
    tags += [
        (262, 3, 1, 2 if many else 0 if inverted else 1),
        (273, 4, 1, 0),
        (277, 3, 1, channels),
        (278, 4, 1, height),
    ]
    tags += [(279, 4, 1, len(data))]
    size = 8 + 2 + 12 * len(tags) + 4
    extra = struct.pack(f"{order}3H", *[bits] * 3) if many else b""
    out = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", len(tags))
    for tag, kind, count, value in tags:
        if tag == 258 and many:
            out += struct.pack(order + "HHII", tag, kind, count, size)
        elif kind == 3:
            out += struct.pack(order + "HHIHH", tag, kind, count, value, 0)
        else:
            out += struct.pack(order + "HHII", tag, kind, count, size + len(extra) if tag == 273 else value)
    return io.BytesIO(out + b"\0" * 4 + extra + data)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflated", [False, True])
def test_tiffs_of_few_bits(bits, order, deflated):
    values = np.random.default_rng(bits).integers(0, 2**bits, (7, 13, 3))
    values[0, 0] = 2**bits - 1
    want = np.rint(values * 65535 / (2**bits - 1))
    photo = read_photo(packed_tiff(values[..., 0], bits, order, deflated=deflated))
    assert photo.pixels.dtype == np.uint16
    np.testing.assert_allclose(photo.pixels, want[..., 0], atol=1)
    assert photo.pixels[0, 0] == 65535
    np.testing.assert_allclose(read_photo(packed_tiff(values, bits, order, deflated=deflated)).pixels, want, atol=1)
    rgb = read_rgb(packed_tiff(values, bits, order, deflated=deflated))
    np.testing.assert_allclose(rgb, want / 257, atol=1)


def test_gray_and_alpha_of_sixteen_bits():
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 7, 2), np.uint16)
    photo = read_photo(png(pixels))
    np.testing.assert_array_equal(photo.pixels, pixels[..., 0])
    np.testing.assert_array_equal(photo.alpha, pixels[..., 1] >> 8)


@pytest.mark.parametrize(("depth", "clear"), [(2, 1), (2, 3), (4, 5), (8, 77)])
def test_the_transparent_gray_of_few_bits(depth, clear):
    values = (np.arange(256) % (1 << depth)).astype(np.uint8)[None]
    photo = read_photo(png(values, (b"tRNS", struct.pack(">H", clear)), depth=depth))
    np.testing.assert_array_equal(photo.pixels, values * (255 // ((1 << depth) - 1)))
    np.testing.assert_array_equal(photo.alpha, np.where(values == clear, 0, 255))


def test_another_photos_profile_is_not_kept():
    from tintype.images import icc_profiles

    for number in range(40):
        profile = icc_profiles.gray_profile(b"curv\0\0\0\0" + struct.pack(">IH", 1, 300 + number) + b"\0\0")
        for dtype in (np.uint8, np.uint16):
            Image.fromarray(np.zeros((2, 2), dtype)).save(file := io.BytesIO(), "PNG", icc_profile=profile)
            assert read_photo(file).pixels.dtype == dtype
    assert len(icc_profiles._TRANSFORMS) <= 8
    assert len(icc_profiles._CURVES) <= 8
    assert Photo(np.zeros((1, 1), np.uint8)).warnings == ()


def jp2(image: Image.Image, color: bytes) -> io.BytesIO:
    """A JPEG 2000 whose box ``colr`` is another one."""
    image.save(file := io.BytesIO(), "JPEG2000")
    content = file.getvalue()
    at, header = content.index(b"colr") - 4, content.index(b"jp2h") - 4
    (old,) = struct.unpack_from(">I", content, at)
    (size,) = struct.unpack_from(">I", content, header)
    box = struct.pack(">I", len(color) + 8) + b"colr" + color
    head = content[:header] + struct.pack(">I", size - old + len(box)) + content[header + 4 : at]
    return io.BytesIO(head + box + content[at + old :])


def test_the_profile_of_a_jpeg_2000():
    from test_reading import DISPLAY_P3

    # CSS Color 4: sRGB's red is color(display-p3 0.9175 0.2003 0.1386)
    photo = read_photo(jp2(Image.new("RGB", (32, 32), (234, 51, 35)), b"\x02\0\0" + DISPLAY_P3))
    np.testing.assert_allclose(photo.pixels[8, 8], [255, 0, 0], atol=2)
    assert Image.open(io.BytesIO(encode_photo(photo))).info["icc_profile"] == srgb_profile()
    with pytest.raises(UnreadablePhoto, match=r"unknown color space \(number 14\)"):  # CIELab
        read_photo(jp2(Image.new("RGB", (32, 32)), b"\x01\0\0" + struct.pack(">I", 14)))


def test_a_jpeg_2000_of_12_bits():
    values = np.random.default_rng(0).integers(0, 4096, (32, 32), np.uint16)
    values[0, 0] = 4095
    # The samples' center is subtracted: 2**15 here, 2**11 once the header says 12 bits (ISO/IEC 15444-1, G.1)
    Image.fromarray(values + np.uint16(2**15 - 2**11)).save(file := io.BytesIO(), "JPEG2000", no_jp2=True)
    content = bytearray(file.getvalue())
    assert content[42] == 15
    content[42] = 11
    photo = read_photo(io.BytesIO(bytes(content)))
    np.testing.assert_allclose(photo.pixels, np.rint(values * (65535 / 4095)), atol=1)
    assert photo.pixels[0, 0] == 65535


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_numbered_encodings_of_avif_and_heif(kind):
    import pillow_heif

    image = Image.new("RGB", (64, 64), (234, 51, 35))
    file = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(file, quality=-1, chroma=444)
    else:
        image.save(file, kind, quality=100, subsampling="4:4:4")
    content = bytearray(file.getvalue())
    at = content.index(b"colrnclx") + 8
    for primaries, transfer, want in ((1, 13, (234, 51, 35)), (12, 13, (255, 0, 0))):
        struct.pack_into(">HH", content, at, primaries, transfer)
        np.testing.assert_allclose(read_photo(io.BytesIO(bytes(content))).pixels[9, 9], want, atol=3)
    struct.pack_into(">HH", content, at, 9, 16)
    with pytest.raises(UnreadablePhoto, match="PQ"):
        read_rgb(io.BytesIO(bytes(content)))


def test_adobe_rgb_by_exif_alone():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    color = (144, 178, 90)
    image = Image.new("RGB", (32, 32), color)
    image.save(file := io.BytesIO(), "JPEG", quality=100, subsampling=0, exif=exif)
    # Adobe RGB (1998), 4.3.5 and 4.3.6, and IEC 61966-2-1
    to_xyz = [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
    to_rgb = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    linear = np.array(to_rgb) @ np.array(to_xyz) @ (np.array(color) / 255) ** (563 / 256)
    photo = read_photo(file)
    np.testing.assert_allclose(photo.pixels[9, 9], srgb(linear) * 255, atol=2)
    assert Image.open(io.BytesIO(encode_photo(photo))).info["icc_profile"] == srgb_profile()
    image.save(file := io.BytesIO(), "JPEG", quality=100, subsampling=0)
    np.testing.assert_allclose(read_photo(file).pixels[9, 9], color, atol=1)
