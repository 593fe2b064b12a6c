"""Metadata of photos in color: nothing false, nothing lost without a word; and the names and times of their files."""

import io
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, PngImagePlugin
from skimage import data

import tintype.cli
from tintype.images.decoding import read_photo
from tintype.images.encoding import encode_photo
from tintype.images.jpeg_ends import WITHOUT_END

CAT = Image.fromarray(data.chelsea()).resize((90, 60))
REGIONS = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/tiff" dc:source="album 3"
 xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"><mwg-rs:Regions>Grandmother</mwg-rs:Regions>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def colorize(weights, tmp_path, monkeypatch, capsys):
    """Run `tintype colorize` in a folder of its own: exit status, what it said, what it complained of."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["tintype", "colorize", *map(str, words), "--model", str(weights)])
        with pytest.raises(SystemExit) as ended:
            tintype.cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_marked_faces_stay_where_the_photo_was_not_rotated():
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[274] = orientation
        CAT.save(file := io.BytesIO(), "JPEG", xmp=REGIONS.encode(), exif=exif)
        for source in (file, Image.open(file)):
            kept = Image.open(io.BytesIO(encode_photo(read_photo(source)))).info["xmp"]
            assert (b"Grandmother" in kept) == (orientation == 1)
            assert b'dc:source="album 3"' in kept
            assert b"format" not in kept


def test_all_comments_of_a_jpeg():
    CAT.save(file := io.BytesIO(), "JPEG", comment=b"one")
    content = file.getvalue()
    two = content[:2] + b"\xff\xfe\0\x05two" + content[2:]
    assert Image.open(io.BytesIO(encode_photo(read_photo(io.BytesIO(two))))).info["comment"] == b"two\none"


def test_iptc_among_the_image_resources_of_a_tiff():
    dataset = b"\x1c\x02\x19\0\x03dog"
    resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(dataset)) + dataset
    CAT.save(file := io.BytesIO(), "TIFF", tiffinfo={34377: resources})
    assert dataset in encode_photo(read_photo(file), "jpeg")


def test_the_texts_of_an_animation_cost_no_decoding_of_it():
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "L. Hine")
    frames = [Image.new("RGB", (300, 300), (value, 0, 0)) for value in range(50)]
    frames[0].save(file := io.BytesIO(), "PNG", save_all=True, append_images=frames[1:], pnginfo=texts)
    image = Image.open(file)
    assert image.n_frames == 50
    photo = read_photo(file)
    np.testing.assert_array_equal(photo.pixels, np.asarray(frames[0]))


def test_a_result_has_the_time_of_its_photo(colorize, tmp_path):
    CAT.convert("L").save(tmp_path / "a.png")
    CAT.save(tmp_path / "b.png")
    for name, when in (("a.png", -1e9), ("b.png", 1e9)):  # 1938, 2001
        os.utime(tmp_path / name, (when, when))
    code, _, _ = colorize("a.png", "b.png", "-o", "out", "--keep-color", "--compare")
    assert code == 0
    for name, when in (("a", -1e9), ("b", 1e9)):
        for ending in ("", "-compare"):
            assert (tmp_path / "out" / f"{name}{ending}.png").stat().st_mtime == when


def test_what_is_lost_is_counted_and_what_is_odd_is_said(colorize, tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "L. Hine")
    for name in ("a.png", "b.png"):
        CAT.convert("L").save(tmp_path / name, pnginfo=texts)
    CAT.convert("L").save(tmp_path / "c.jpg", comment=b"by the sea")
    content = (tmp_path / "c.jpg").read_bytes()
    (tmp_path / "c.jpg").write_bytes(content[:-2])
    code, _, complaints = colorize("a.png", "b.png", "c.jpg", "-o", "out", "--format", "webp")
    assert code == 0
    assert "3 lost what their format cannot hold: comment x1, text x2" in complaints
    assert f"c.jpg: {WITHOUT_END}" in complaints
    code, _, complaints = colorize("a.png", "-o", "same")
    assert "lost" not in complaints


def test_names_of_formats_that_are_not_written(colorize, tmp_path):
    gray = CAT.convert("L").convert("RGB")
    pillow_heif.from_pillow(gray).save(tmp_path / "phone.HEIC")
    gray.save(tmp_path / "scan.jp2")
    pillow_heif.from_pillow(gray).save(tmp_path / "sent.jpg", format="HEIF")
    gray.save(tmp_path / "other.heic", "PNG")
    code, out, complaints = colorize(".", "-o", "out")
    assert code == 0, (out, complaints)
    found = {path.name: Image.open(path).format for path in Path("out").iterdir()}
    assert found == {"phone.jpg": "JPEG", "scan.png": "PNG", "sent.jpg": "JPEG", "other.jpg": "JPEG"}
