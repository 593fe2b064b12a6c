"""Reading of a request's form into memory within limits, and checks of its photo before anything is decoded."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncGenerator
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from tintype.images.formats import READABLE
from tintype.images.opening import NOT_AN_IMAGE, OVER_PIXEL_LIMIT, TRUNCATED
from tintype.serving.errors import Refusal, one_line
from tintype.serving.limits import Limits

FORM = 64 * 1024
"""Bytes that a form may have in addition to its photo."""
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
"""Formats in which further frames are an animation. (In a TIFF they are pages or previews; the first is the photo.)"""
NAMES = "JPEG, PNG, WebP, TIFF, BMP, AVIF, or a GIF that stands still"
SCANS = 100
"""Maximum number of scans of a JPEG. Encoders write about a dozen.

Each scan is a pass over all pixels, and costs a hostile file less than 100 bytes
(https://bugzilla.redhat.com/show_bug.cgi?id=1344214).
"""
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
"""Marker of a JPEG. Within coded pixels, its first byte is never followed by such a byte (ITU-T T.81, B.1.1.5)."""
START, SCAN, END = b"\xd8", b"\xda", b"\xd9"


class Upload(NamedTuple):
    """The content of a form."""

    photo: bytes
    fields: dict[str, str]


class Header(NamedTuple):
    """What a photo's file says about itself."""

    format: str
    """Pillow's name of the format."""
    width: int
    height: int


async def read_upload(request: Request, limits: Limits) -> Upload:
    """Receive a form with a file ``photo``.

    Raises:
        Refusal: 400, 408, 413 or 415.
        ClientDisconnect: the client hung up.
    """
    return await _Body(request, limits).form()


class _InMemory(MultiPartParser):
    spool_max_size = 0
    """No limit, so that a photo never touches the disk."""


class _Body:
    """A request's body while it arrives."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self.request = request
        self.limits = limits
        self.ended = False

    async def form(self) -> Upload:
        kind, params = parse_options_header(self.request.headers.get("content-type"))
        if kind != b"multipart/form-data":
            raise Refusal(415, "not_a_form", "send the photo as multipart/form-data, in a file field named photo")
        if params.get(b"charset", b"utf-8").lower() != b"utf-8":  # some of Python's codecs are slow, or raise anything
            raise Refusal(400, "bad_form", "charset: allowed: utf-8")
        length = self.request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self.limits.bytes + FORM:
            raise self._too_large()
        try:
            async with asyncio.timeout(self.limits.patience) as deadline:
                parser = _InMemory(
                    self.request.headers, self._chunks(deadline), max_files=1, max_fields=8, max_part_size=FORM
                )
                form = await parser.parse()
        except TimeoutError:
            raise Refusal(408, "too_slow", "the upload was too slow") from None
        except MultiPartException as error:
            raise Refusal(400, "bad_form", f"the form cannot be read: {error.message}") from None
        names = [name for name, _ in form.multi_items()]
        if twice := next((name for name in names if names.count(name) > 1), None):
            await form.close()
            raise Refusal(400, "bad_form", f"{one_line(twice)}: the form has this field more than once")
        photo = form.get("photo")
        if not isinstance(photo, UploadFile):
            await form.close()
            raise Refusal(400, "no_photo", "no photo: the form needs a file field named photo")
        content = await photo.read()
        await form.close()
        if not content:
            raise Refusal(400, "empty", "the photo's file is empty")
        if len(content) > self.limits.bytes:
            raise self._too_large()
        return Upload(content, {name: value for name, value in form.items() if isinstance(value, str)})

    async def _chunks(self, deadline: asyncio.Timeout) -> AsyncGenerator[bytes, None]:
        total, until = 0, deadline.when()
        last = asyncio.get_running_loop().time() + self.limits.transfer
        while not self.ended:
            chunk = await self._chunk()
            total += len(chunk)
            if total > self.limits.bytes + FORM:
                raise self._too_large()
            if until is not None:
                deadline.reschedule(min(until + total / self.limits.rate, last))
            yield chunk

    async def _chunk(self) -> bytes:
        message = await self.request.receive()
        if message["type"] == "http.disconnect":
            self.ended = True
            raise ClientDisconnect
        self.ended = not message.get("more_body", False)
        return message.get("body", b"")

    def _too_large(self) -> Refusal:
        allowed = f"{self.limits.bytes / 1e6:.0f} MB"
        return Refusal(413, "too_large", f"the file is larger than the allowed {allowed}")


def judge(content: bytes, limits: Limits) -> Header:
    """Check a photo's header, and refuse what must not be decoded.

    Raises:
        Refusal: 413, 415 or 422.
    """
    try:
        with Image.open(io.BytesIO(content), formats=READABLE) as image:
            header = Header(image.format or "", *image.size)
            animated = image.format in ANIMATED and getattr(image, "is_animated", False)
    except UnidentifiedImageError:
        raise unreadable(TRUNCATED if _looks_like_a_photo(content) else NOT_AN_IMAGE, limits) from None
    except Image.DecompressionBombError:
        raise unreadable(OVER_PIXEL_LIMIT, limits) from None
    except Exception as error:  # broken files can raise anything
        raise unreadable(TRUNCATED, limits) from error
    if header.width * header.height > limits.pixels:
        raise unreadable(OVER_PIXEL_LIMIT, limits)
    if animated:
        raise Refusal(415, "animated", "this is an animation; send a still photo")
    if min(header.width, header.height) < limits.side:
        size = f"{header.width} x {header.height}"
        raise Refusal(422, "too_small", f"the photo has {size} pixels; it needs at least {limits.side} x {limits.side}")
    if header.format in ("JPEG", "MPO") and _scans(content) > SCANS:
        raise Refusal(422, "unreadable", f"the JPEG has more than {SCANS} scans; save it again")
    return header


def unreadable(reason: str, limits: Limits) -> Refusal:
    """Return the server's answer for a reason of `tintype.images.opening.UnreadablePhoto`."""
    if reason == NOT_AN_IMAGE:
        return Refusal(415, "not_a_photo", f"not a photo in a supported format; allowed: {NAMES}")
    if reason == OVER_PIXEL_LIMIT:
        allowed = f"{limits.pixels / 1e6:.0f} megapixels"
        return Refusal(413, "too_many_pixels", f"the photo has more than the allowed {allowed}")
    if reason == TRUNCATED:
        return Refusal(422, "truncated", "the photo's file is damaged or incomplete")
    return Refusal(422, "unreadable", "the photo's file is damaged, or of an unsupported kind")


def _scans(jpeg: bytes) -> int:
    """Count the scans of a JPEG up to its end. What follows the end (phones put videos there) is ignored."""
    position = scans = 0
    while (marker := MARKER.search(jpeg, position)) and marker[1] != END and scans <= SCANS:
        scans += marker[1] == SCAN
        bare = marker[1] == START
        position = marker.end() + (0 if bare else int.from_bytes(jpeg[marker.end() : marker.end() + 2], "big"))
    return scans


def _looks_like_a_photo(content: bytes) -> bool:
    """Return whether the content begins like one of the formats. If so, it is a broken photo, not another file."""
    return any((accept := Image.OPEN[name][1]) and accept(content[:16]) is True for name in READABLE)
