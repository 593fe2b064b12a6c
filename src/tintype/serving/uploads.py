"""Reading of a request's form into memory within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from tintype.serving.errors import Refusal, one_line
from tintype.serving.limits import Limits

FORM = 64 * 1024
"""Bytes that a form may have in addition to its photo."""


class Upload(NamedTuple):
    """The content of a form."""

    photo: bytes
    fields: dict[str, str]


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
