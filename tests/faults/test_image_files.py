"""Image files that are odd, damaged or hostile: taken where a photo is in them, else refused in time and by name."""

import io
import struct
import sys
import time
import zlib

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, JpegImagePlugin, PngImagePlugin
from skimage import data

from tintype.images.decoding import read_photo, read_rgb
from tintype.images.encoding import encode_photo, lost_metadata
from tintype.images.faults import TRUNCATED, UnreadablePhoto
from tintype.images.formats import format_of
from tintype.images.heif import NOT_INSTALLED
from tintype.images.jpeg_ends import WITHOUT_END

PHOTO = Image.fromarray(data.astronaut()[::2, ::2])
MANY = 4_000_000


def stored(image: Image.Image, kind: str, **options) -> bytes:
    image.save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def reason(content: bytes, limit: float = 0.7) -> str:
    """Why a file is refused, and that it takes no longer than `limit` seconds of processor time."""
    reasons = set()
    for read in (read_photo, read_rgb):
        start = time.process_time()
        with pytest.raises(UnreadablePhoto) as caught:
            read(io.BytesIO(content))
        assert time.process_time() - start < limit
        reasons.add(caught.value.reason)
    assert len(reasons) == 1
    return reasons.pop()


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}], ids=["plain", "progressive", "444"]
)
@pytest.mark.parametrize("missing", [1, 2, 8, 20])
def test_a_jpeg_without_its_last_bytes(options, missing, caplog):
    content = stored(PHOTO, "JPEG", quality=90, **options)
    whole = np.asarray(Image.open(io.BytesIO(content)))
    photo = read_photo(io.BytesIO(content[:-missing]))
    assert photo.warnings == (WITHOUT_END,)
    same = (photo.pixels == whole).all(axis=2)
    assert same.mean() > 0.99
    assert same[: -16 if not options.get("progressive") else 0 or None].mean() > 0.99
    if missing <= 2:  # the end alone
        assert same.all()
    np.testing.assert_array_equal(read_rgb(io.BytesIO(content[:-missing])), photo.pixels)
    assert WITHOUT_END in caplog.text
    assert read_photo(io.BytesIO(content)).warnings == ()


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.97])
def test_half_a_jpeg_is_still_refused(options, part):
    content = stored(PHOTO, "JPEG", quality=90, **options)
    assert reason(content[: int(len(content) * part)]) == TRUNCATED


@pytest.mark.parametrize("part", [0.4, 0.7, 0.95])
def test_a_large_jpeg_may_lack_no_more_than_a_small_one(part):
    """A filling of a fixed length covers less of it."""
    noise = np.random.default_rng(0).integers(0, 256, (800 // 16, 1200 // 16), dtype=np.uint8)
    content = stored(Image.fromarray(noise).resize((1200, 800)), "JPEG")
    assert reason(content[: int(len(content) * part)]) == TRUNCATED


def test_a_progressive_jpeg_without_its_last_scans_is_refused():
    content = stored(PHOTO, "JPEG", quality=90, progressive=True)
    scans = [at for at in range(len(content) - 1) if content[at : at + 2] == b"\xff\xda"]
    for at in scans[1:]:
        table = content.rindex(b"\xff\xc4", 0, at)
        assert reason(content[: min(table, at)]) == TRUNCATED


def test_the_largest_page_of_a_tiff():
    pages = [np.full((h, w, 3), v, np.uint8) for h, w, v in ((30, 40, 9), (300, 400, 99), (200, 300, 199))]
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page, photometric="rgb", compression="zlib", metadata=None)
    photo = read_photo(file)
    np.testing.assert_array_equal(photo.pixels, pages[1])
    np.testing.assert_array_equal(read_rgb(file), pages[1])
    assert "3 pages; only page 2" in photo.warnings[0]

    thumbnail, deep = pages[0], np.random.default_rng(0).integers(0, 65536, (60, 80, 3), np.uint16)
    with tifffile.TiffWriter(file := io.BytesIO()) as writer:  # as scanners write it
        writer.write(thumbnail, photometric="rgb", subfiletype=1, metadata=None)
        writer.write(deep, photometric="rgb", metadata=None, extratags=[(274, "H", 1, 6, True)])
    photo = read_photo(file)
    np.testing.assert_array_equal(photo.pixels, np.rot90(deep, -1))
    assert photo.warnings == ()

    alike = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    content = stored(alike[0], "TIFF", save_all=True, append_images=alike[1:])
    np.testing.assert_array_equal(read_photo(io.BytesIO(content)).pixels[0, 0], [255, 0, 0])
    with tifffile.TiffWriter(file := io.BytesIO()) as writer:
        for page in pages:
            writer.write(page, photometric="rgb", subfiletype=2, metadata=None)  # marked as pages
    assert "3 pages" in read_photo(file).warnings[0]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


PNG = stored(Image.new("RGB", (8, 8)), "PNG")


@pytest.mark.parametrize("name", [b"abCd", b"IDAT", b"fdAT", b"tEXt"])
@pytest.mark.parametrize("at", [b"IDAT", b"IEND"])
def test_a_png_of_millions_of_chunks(name, at):
    position = PNG.index(at) - 4
    content = PNG[:position] + chunk(name, b"") * MANY + PNG[position:]
    assert "chunks" in reason(content)


def test_a_png_of_many_profiles():
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 20)))
    content = PNG[:33] + profile * 20_000 + PNG[33:]
    assert "chunks" in reason(content)


JPEG = stored(PHOTO, "JPEG")


def test_a_jpeg_of_millions_of_parts():
    assert "segments" in reason(JPEG[:2] + b"\xff\xe5\0\2" * MANY + JPEG[2:])
    assert "segments" in reason(JPEG[:2] + b"\xff\xd0" * MANY + JPEG[2:])
    assert "between its segments" in reason(JPEG[:2] + b"\xff" * MANY + JPEG[2:])
    assert "between its segments" in reason(JPEG[:20] + b"\0" * MANY + JPEG[20:])


def test_exif_and_xmp_of_many_parts():
    exif = b"\xff\xe1\xff\xff" + b"Exif\0\0".ljust(65533, b"a")
    assert "EXIF segments" in reason(JPEG[:2] + exif * 900 + JPEG[2:])
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, 5) for tag in range(1, 60_000))
    many = struct.pack("<H", 59_999) + tags
    # a directory that leads to another one for the details, and to the same one for the place
    few = struct.pack("<H", 2) + struct.pack("<HHIIHHII", 0x8769, 4, 1, 38, 0x8825, 4, 1, 38) + b"\0" * 4
    for directories in (many, few + many):
        content = stored(PHOTO, "PNG", exif=b"Exif\0\0II*\0" + struct.pack("<I", 8) + directories)
        start = time.process_time()
        assert "exif" not in read_photo(io.BytesIO(content)).metadata
        assert time.process_time() - start < 0.7
    description = "<r:Description xmlns:d='http://purl.org/dc/elements/1.1/'>{}</r:Description>"
    packet = f"<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>{description}</r:RDF>"
    for inside in ("<d:a/>" * 100_000, "<d:a>" * 4000 + "</d:a>" * 4000):
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", packet.format(inside), zip=True)
        content = stored(PHOTO, "PNG", pnginfo=texts)
        start = time.process_time()
        photo = read_photo(io.BytesIO(content))
        assert time.process_time() - start < 0.7
        assert "xmp" not in photo.metadata
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet.format("<d:a/>" * 100_000), zip=True)
    assert lost_metadata(read_photo(io.BytesIO(stored(PHOTO, "PNG", pnginfo=texts)))) == ("XMP",)


def test_a_jpeg_of_many_scans():
    gray = stored(Image.new("L", (3000, 3000)), "JPEG", progressive=True)
    at = gray.rindex(b"\xff\xda")
    assert "scans" in reason(gray[:at] + gray[at:-2] * 5000 + gray[-2:])
    # a thumbnail's bytes are not the photo's scans
    with_thumbnails = JPEG[:2] + b"\xff\xe5" + struct.pack(">H", 402) + b"\xff\xda" * 200 + JPEG[2:]
    assert read_rgb(io.BytesIO(with_thumbnails)).shape == (256, 256, 3)


def tiff_of_tags(count: int) -> bytes:
    tags = b"".join(struct.pack("<HHII", 256, 3, 1, 8) for _ in range(count))
    return b"II*\0" + struct.pack("<IH", 8, count) + tags + b"\0" * 4


def test_a_tiff_of_many_parts():
    assert "tags" in reason(tiff_of_tags(60_000))
    page = [
        struct.pack("<H", 1) + struct.pack("<HHII", 256, 3, 1, 8) + struct.pack("<I", 8 + 18 * (i + 1))
        for i in range(400_000)
    ]
    assert "pages" in reason(b"II*\0" + struct.pack("<I", 8) + b"".join(page))
    tags = [(256, 4, 1, 1), (257, 4, 1, MANY), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, MANY, 200), (278, 4, 1, 1)]
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    assert "strips" in reason(head.ljust(200, b"\0") + struct.pack("<I", 200) * MANY)
    loop = bytearray(tiff_of_tags(1))
    loop[-4:] = struct.pack("<I", 8)
    reason(bytes(loop))


def test_a_gif_of_many_blocks():
    gif = stored(PHOTO.convert("P"), "GIF")
    at = gif.index(b",")
    assert "blocks" in reason(gif[:at] + b"!\xfe" + b"\x01a" * MANY + b"\0" + gif[at:])
    assert "blocks" in reason(gif[:at] + b"!\xfe\0" * MANY + gif[at:])


def test_a_jpeg_2000_of_many_parts():
    image = stored(PHOTO, "JPEG2000")
    assert "boxes" in reason(image[:12] + struct.pack(">I4s", 8, b"free") * MANY + image[12:])
    codestream = image[image.index(b"\xff\x4f\xff\x51") :]
    size = 4 + int.from_bytes(codestream[4:6], "big")
    assert "segments" in reason(codestream[:size] + b"\xff\x5c\0\2" * MANY + codestream[size:])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "JPEG2000", "AVIF"])
def test_large_photos_are_within_bounds(kind):
    shape = (1000, 1500) if kind == "GIF" else (1000, 1500, 3)
    big = Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    options = {"PNG": {"compress_level": 0}, "TIFF": {"strip_size": 1}, "JPEG": {"progressive": True}}.get(kind, {})
    options |= {"AVIF": {"speed": 10}, "WEBP": {"method": 0}}.get(kind, {})
    assert read_rgb(io.BytesIO(stored(big, kind, **options))).shape == (1000, 1500, 3)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "LA"])
@pytest.mark.parametrize("name", ["photo.jp2", "photo.j2k", "photo.jpg"])
def test_jpeg_2000(tmp_path, mode, name):
    levels = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), np.uint16)
    bands = {"L": 0, "I;16": 0, "LA": slice(2), "RGB": slice(3), "RGBA": slice(4)}[mode]
    pixels = levels[..., bands] if mode == "I;16" else (levels[..., bands] >> 8).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, "JPEG2000", no_jp2=name.endswith("k"))
    for source in (tmp_path / name, io.BytesIO((tmp_path / name).read_bytes())):
        photo = read_photo(source)
        color = pixels if pixels.ndim == 2 else pixels[..., 0] if mode == "LA" else pixels[..., :3]
        np.testing.assert_array_equal(photo.pixels, color)
        if mode in ("LA", "RGBA"):
            np.testing.assert_array_equal(photo.alpha, pixels[..., -1])
        assert format_of(photo) == "png"
    assert Image.open(io.BytesIO(encode_photo(photo))).format == "PNG"


def test_a_jpeg_2000_that_cannot_be_read_is_named():
    image = bytearray(stored(PHOTO, "JPEG2000", no_jp2=True))
    image[40:42] = struct.pack(">H", 7)
    assert reason(bytes(image)) == "JPEG 2000 with 7 unusual components"
    two = np.zeros((8, 8, 2), np.uint16)
    tifffile.imwrite(file := io.BytesIO(), two, photometric="minisblack", extrasamples=["unassalpha"])
    assert reason(file.getvalue()) == "TIFF of a kind that is not read, of 2 x 16 bits per pixel"


def heic(image: Image.Image, **options) -> bytes:
    pillow_heif.from_pillow(image).save(file := io.BytesIO(), **options)
    return file.getvalue()


@pytest.mark.parametrize("name", ["photo.heic", "photo.jpg"])
def test_heic(tmp_path, name):
    exif = Image.Exif()
    exif[0x010F] = "Leica"
    image = PHOTO.copy()
    image.info["exif"] = exif.tobytes()
    (tmp_path / name).write_bytes(heic(image, quality=-1, chroma=444))
    for source in (tmp_path / name, io.BytesIO((tmp_path / name).read_bytes())):
        photo = read_photo(source)
        np.testing.assert_allclose(photo.pixels.astype(int), np.asarray(PHOTO), atol=3)
        np.testing.assert_array_equal(read_rgb(source), photo.pixels)
    assert format_of(photo) == "jpeg"
    result = Image.open(io.BytesIO(encode_photo(photo)))
    assert (result.format, result.getexif()[0x010F]) == ("JPEG", "Leica")


def test_heic_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert reason(heic(PHOTO)) == NOT_INSTALLED
    assert "pip install 'tintype[heif]'" in NOT_INSTALLED


def test_half_a_heic():
    content = heic(PHOTO)
    for part in np.linspace(0.01, 0.95, 12):
        reason(content[: int(len(content) * part)])


def test_what_the_system_answers_is_said(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", denied)
    with pytest.raises(UnreadablePhoto, match=r"^permission denied$") as caught:
        read_photo(path)
    assert isinstance(caught.value.__cause__, PermissionError)


def test_too_little_memory_is_no_fault_of_the_photo(monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load_prepare", full)
    with pytest.raises(MemoryError):
        read_photo(io.BytesIO(JPEG))
