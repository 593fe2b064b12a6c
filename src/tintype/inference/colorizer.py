"""A trained generator applied to photos of any size."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from tintype.errors import UserError
from tintype.images.decoding import read_photo
from tintype.images.photo import Photo, as_rgb
from tintype.inference.backends import Backend, BackendName, load_backend
from tintype.inference.hints import Hint, follow_hints
from tintype.inference.options import Options
from tintype.inference.recombination import lightness_of, recombine, resized
from tintype.inference.upsampling import SIDE, predicted_grid, upsample

LONGEST = 4
"""Largest ratio of long to short side that the network sees. Longer panoramas are squashed."""
GRID = 8
"""The long side that the network sees is a multiple of this, so that photos of similar shape share a batch."""


P = TypeVar("P", str, Path, bytes, Image.Image, np.ndarray)


@dataclass(frozen=True)
class Prepared:
    """A photo, and what the network sees of it."""

    photo: Photo
    lightness: np.ndarray
    """(h, w) float32, L* in [0, 100], at the network's size."""
    guide: np.ndarray
    """(h', w') float32, L* at the size up to which chroma follows edges: see `tintype.inference.upsampling`."""
    is_array: bool = False
    """Whether the photo came as an array, and is returned as one."""


class Colorizer:
    """Colorizes photos.

    The network works at its own size. Its chroma is enlarged and combined with the photo's own full-size lightness, so
    that the photo stays as sharp as it was: see `tintype.inference.recombination.recombine`.

        colorizer = Colorizer.load()
        colorizer("grandmother.jpg").save("grandmother-in-color.jpg")

    Args:
        backend: what runs the network.
        options: fields of `tintype.inference.options.Options`.
    Raises:
        UserError: an option is out of range.
    """

    def __init__(self, backend: Backend, **options: Any) -> None:
        self.backend = backend
        self.options = Options(**options)
        self.size = self.options.size or backend.image_size
        """Short side of what the network sees, in pixels."""
        if self.size < backend.image_size:  # some networks' deepest grids would be empty
            raise UserError(
                f"size {self.size}: allowed: at least {backend.image_size}, that of the model's training photos"
            )

    def with_options(self, **changes: Any) -> Colorizer:
        """Return a colorizer with the same network and other options. Raises `UserError` if one is out of range."""
        return Colorizer(self.backend, **{**asdict(self.options), **changes})

    @classmethod
    def load(
        cls, model: str | Path = "everyday", *, backend: BackendName = "auto", device: str = "auto", **options: Any
    ) -> Colorizer:
        """Load a model by any of its names.

        Args:
            model: ``everyday`` (comes with the package, needs no torch), ``models:/NAME@ALIAS``,
                ``models:/NAME/VERSION``, an MLflow run's ID, a folder of weights, or an ``.onnx`` file.
            backend: see `tintype.inference.backends.load_backend`.
            device: see `tintype.inference.backends.load_backend`.
            options: see the class.
        Raises:
            UserError: there is no such model, or an option is invalid.
        """
        from tintype.inference.model_names import find_model

        return cls(load_backend(find_model(model).path, backend, device), **options)

    def __call__(self, photo: P, *, hints: Sequence[Hint] = ()) -> Image.Image | np.ndarray:
        """Colorize one photo.

        Args:
            photo: a path, a file's bytes, a PIL image, or an array (H, W), (H, W, 1) or (H, W, 3) of uint8, uint16 or
                floats in [0, 1]; gray or sRGB.
            hints: colors of some spots, see `tintype.inference.hints`.
        Returns:
            The photo in color, with the same height and width. For an array, it is an array (H, W, 3) of the same type
            (float32 for floats); otherwise, an RGB image (RGBA if the photo has transparency).
        Raises:
            ValueError: an array has another shape or type.
            tintype.images.opening.UnreadablePhoto: a file cannot be read as a photo.
        """
        return next(iter(self.many([photo], hints=hints)))

    def many(self, photos: Iterable[P], *, hints: Sequence[Hint] = ()) -> Iterator[Image.Image | np.ndarray]:
        """Colorize any number of photos, with ``batch_size`` photos in memory at a time. See `__call__`."""
        todo = iter(photos)
        while batch := [self.prepare(photo) for photo in islice(todo, self.options.batch_size)]:
            for prepared, ab in zip(batch, self.predict(batch), strict=True):
                yield self._as_it_came(prepared, self.finish(prepared, ab, hints=hints))

    def samples(self, photo: P, number: int, *, seed: int = 0) -> list[Image.Image | np.ndarray]:
        """Return several plausible versions of one photo. They are the same for the same seed.

        Raises:
            UserError: the model is deterministic, so it has only one answer.
        """
        if not self.backend.stochastic:
            raise UserError("samples: this model has one answer; stochastic are those trained with generator.dropout")
        prepared = self.prepare(photo)
        answers = (self.predict([prepared], seed=seed + index)[0] for index in range(number))
        return [self._as_it_came(prepared, self.finish(prepared, ab)) for ab in answers]

    def prepare(self, photo: P | Photo) -> Prepared:
        """Run the first of the three steps of `__call__`: decode a photo, and make what the network sees.

        The steps are public so that callers can run them separately. This step does not use the network: several
        threads may prepare and finish photos while another one predicts.
        """
        is_array = isinstance(photo, np.ndarray)
        read_photo = _photo(photo, self.options.max_pixels)
        height, width = read_photo.pixels.shape[:2]
        lightness = lightness_of(read_photo.pixels)
        seen = resized(lightness, *network_size(height, width, self.size))
        guide = resized(lightness, *network_size(height, width, min(height, width, SIDE)))
        return Prepared(read_photo, seen, guide, is_array)

    def predict(self, prepared: Sequence[Prepared], *, seed: int | None = None) -> list[np.ndarray]:
        """Run the second step: return the chroma of each photo, (2, h, w) float32 in Lab units.

        Photos of the same shape share a batch.
        """
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, one in enumerate(prepared):
            by_shape.setdefault(one.lightness.shape, []).append(index)
        answers: dict[int, np.ndarray] = {}
        for indices in by_shape.values():
            batch = np.stack([prepared[index].lightness[None] for index in indices])
            answers.update(zip(indices, self.backend(batch, seed), strict=True))
        return [answers[index] for index in range(len(prepared))]

    def finish(self, prepared: Prepared, ab: np.ndarray, *, hints: Sequence[Hint] = ()) -> Photo:
        """Run the third step: return the photo in color."""
        if self.options.keep_color and prepared.photo.has_color:
            return prepared.photo
        ab = upsample(predicted_grid(ab, self.backend.chroma_stride), prepared.guide) * np.float32(
            self.options.saturation
        )
        if hints:
            ab = follow_hints(lightness_of(prepared.photo.pixels), ab, hints)
        return prepared.photo.with_pixels(recombine(prepared.photo.pixels, ab))

    @staticmethod
    def _as_it_came(prepared: Prepared, photo: Photo) -> Image.Image | np.ndarray:
        if not prepared.is_array:
            return photo.to_image()
        return as_rgb(photo.pixels)


def network_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the height and width at which the network sees a photo.

    The short side is `side`. The aspect ratio is about the photo's.
    """
    short, long = sorted((height, width))
    stretched = min(max(round(side * long / short / GRID) * GRID, side), LONGEST * side)
    return (side, stretched) if height <= width else (stretched, side)


def _photo(photo: P | Photo, max_pixels: int) -> Photo:
    if isinstance(photo, Photo):
        return photo
    if isinstance(photo, np.ndarray):
        return Photo.of_array(photo)
    return read_photo(io.BytesIO(photo) if isinstance(photo, bytes) else photo, max_pixels)
