"""Reader for TIFFs: Pillow's, with the largest page for the photo, and samples of 10, 12 and 14 bits."""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from tintype.images.faults import UnreadablePhoto

BITS, COMPRESSION, FILL_ORDER = TiffImagePlugin.BITSPERSAMPLE, TiffImagePlugin.COMPRESSION, TiffImagePlugin.FILLORDER
OFFSETS, COUNTS = TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.STRIPBYTECOUNTS
WIDTH, HEIGHT, KIND, SAMPLES = 256, 257, 254, 277
TILE_OFFSETS = 324
SMALLER_COPY, MASK = 1, 4
"""Bits of NewSubfileType, TIFF 6.0, section 8."""
PACKED = (10, 12, 14)
"""Bits per sample that Pillow does not read, or reads only in some files."""
DEFLATED = (8, 32946)
PAGES, ENTRIES, STRIPS = 10_000, 1000, 1 << 18
"""Maximum number of pages, of tags of a page, and of strips or tiles of a page."""
SIZES = {1: "B", 3: "H", 4: "I", 16: "Q"}


class Page(NamedTuple):
    """What a page's directory says of it."""

    width: int
    height: int
    kind: int
    bits: int
    samples: int


def read_pages(file: IO[bytes]) -> list[Page]:
    """Read the directories of a TIFF's pages. Raises `UnreadablePhoto` if anything is more than photos have."""
    file.seek(0)
    head = file.read(16)
    order, big = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
    number, pointer, entry = ("Q", "Q", "HHQ8s") if big else ("H", "I", "HHI4s")
    pages: list[Page] = []
    seen: set[int] = set()
    try:
        (position,) = struct.unpack_from(order + pointer, head, 8 if big else 4)
        while position and position not in seen:
            seen.add(position)
            if len(seen) > PAGES:
                raise UnreadablePhoto(f"a TIFF of more than {PAGES} pages")
            file.seek(position)
            (count,) = struct.unpack(order + number, file.read(struct.calcsize(number)))
            if count > ENTRIES:
                raise UnreadablePhoto(f"a TIFF page of more than {ENTRIES} tags")
            size = struct.calcsize(order + entry) * count
            pages.append(_page(list(struct.iter_unpack(order + entry, file.read(size))), order))
            (position,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
    except (struct.error, OverflowError, OSError):  # cut off; what is missing shows when the photo's own page is read
        pass
    return pages


def _page(entries: list[tuple[int, int, int, bytes]], order: str) -> Page:
    found = {}
    for tag, kind, count, value in entries:
        if tag in (OFFSETS, TILE_OFFSETS) and count > STRIPS:
            raise UnreadablePhoto(f"a TIFF page of more than {STRIPS} strips")
        if kind in SIZES and (count == 1 or tag == BITS):
            (found[tag],) = struct.unpack_from(order + SIZES[kind], value)
            if tag == BITS and count * struct.calcsize(SIZES[kind]) > len(value):
                found[tag] = 0  # stored elsewhere
    return Page(
        found.get(WIDTH, 0), found.get(HEIGHT, 0), found.get(KIND, 0), found.get(BITS, 1), found.get(SAMPLES, 1)
    )


def full_pages(pages: list[Page]) -> list[int]:
    """Return the indices of the pages that are marked neither as smaller copies nor as masks."""
    return [index for index, page in enumerate(pages) if not page.kind & (SMALLER_COPY | MASK)]


def photo_page(pages: list[Page]) -> int:
    """Return the index of the page with the photo: of the largest ones, the first.

    Some writers put a thumbnail first. Masks and pages that are marked as smaller copies count only if there is nothing
    else.
    """
    return max(
        full_pages(pages) or range(len(pages)), key=lambda index: pages[index].width * pages[index].height, default=0
    )


class TiffFile(TiffImagePlugin.TiffImageFile):
    """A TIFF's photo. Samples of 10, 12 and 14 bits become 16."""

    def _open(self) -> None:
        assert self.fp is not None
        self._packed = 0
        self._unpacked: IO[bytes] | None = None
        self.pages = read_pages(self.fp)
        self.page = photo_page(self.pages)
        self.fp.seek(0)
        super()._open()

    def _seek(self, frame: int) -> None:
        super()._seek(self.page)

    def _setup(self) -> None:
        bits, how = set(self.tag_v2.get(BITS, (1,))), self.tag_v2.get(COMPRESSION, 1)
        planes = self.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1)
        is_plain = planes == self.tag_v2.get(FILL_ORDER, 1) == self.tag_v2.get(TiffImagePlugin.PREDICTOR, 1) == 1
        if len(bits) == 1 and bits <= set(PACKED) and is_plain and OFFSETS in self.tag_v2 and how in (1, *DEFLATED):
            self._packed = bits.pop()
            self.tag_v2[BITS] = (16,) * len(self.tag_v2[BITS])
            self.tag_v2[COMPRESSION] = 1
            super()._setup()
            self.tag_v2[COMPRESSION] = how
            self.info["compression"] = TiffImagePlugin.COMPRESSION_INFO[how]
            args = self.tile[0].args
            assert isinstance(args, tuple)
            self.tile = [ImageFile._Tile("raw", (0, 0, *self._tile_size), 0, (args[0], 0, 1))]
        else:
            super()._setup()

    def load(self) -> Image.core.PixelAccess | None:
        """Decode the pixels."""
        if self._packed and self.tile and self._unpacked is None:
            self._unpacked = io.BytesIO(self._in_16_bits())
        return super().load()

    def load_seek(self, position: int) -> None:
        """Pillow's hook: go to where the pixels are."""
        self._pixels.seek(position)

    def load_read(self, size: int) -> bytes:
        """Pillow's hook: read pixels."""
        return self._pixels.read(size)

    @property
    def _pixels(self) -> IO[bytes]:
        file = self._unpacked or self.fp
        assert file is not None
        return file

    def _in_16_bits(self) -> bytes:
        """Return the pixels of packed samples as they would be stored in 16 bits."""
        width, height = self._tile_size
        samples = width * len(self.tag_v2[BITS])
        row, rows = (samples * self._packed + 7) // 8, self.tag_v2.get(TiffImagePlugin.ROWSPERSTRIP, height)
        if rows < 1:
            raise UnreadablePhoto("a TIFF of empty strips")
        order = ">u2" if self.tag_v2.prefix == b"MM" else "<u2"
        out: list[bytes] = []
        left = height
        for offset, size in zip(self.tag_v2[OFFSETS], self.tag_v2[COUNTS], strict=False):
            assert self.fp is not None
            self.fp.seek(offset)
            wanted = row * min(rows, left)
            data = self.fp.read(size)
            if self.tag_v2[COMPRESSION] in DEFLATED:
                data = zlib.decompressobj().decompress(data, max(wanted, 1))
            if len(data) < wanted:
                raise EOFError
            packed = np.frombuffer(data, np.uint8, wanted).reshape(-1, row)
            out.extend(_unpacked(one, samples, self._packed).astype(order).tobytes() for one in packed)
            left -= len(packed)
            if not left:
                break
        if left:
            raise EOFError
        return b"".join(out)


def _unpacked(row: np.ndarray, samples: int, bits: int) -> np.ndarray:
    """Return the samples of a row, which are stored without gaps, the highest bit first, over 16 bits."""
    stored = np.unpackbits(row)[: samples * bits].reshape(samples, bits)
    values = stored @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int32))
    return (values * 65535 + (2**bits - 1) // 2) // (2**bits - 1)


def in_full_range(gray: np.ndarray, image: Image.Image) -> np.ndarray:
    """Return 16-bit gray over its whole range: Pillow itself reads some TIFFs of 12 bits, and leaves them so."""
    bits = image.tag_v2.get(BITS, (16,)) if isinstance(image, TiffImagePlugin.TiffImageFile) else (16,)
    if bits != (12,):
        return gray
    levels = np.arange(65536).clip(max=4095)
    return ((levels * 65535 + 2047) // 4095).astype(np.uint16)[gray]
