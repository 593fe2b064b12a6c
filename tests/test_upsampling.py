"""Chroma enlarged along the edges of lightness, against photos whose chroma is known."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.color import deltaE_ciede2000, rgb2lab

from tintype import Colorizer
from tintype.inference import colorizer
from tintype.inference.hints import Hint
from tintype.inference.upsampling import SIDE, predicted_grid, upsample

DARK, LIGHT = (40.0, -30.0, 40.0), (75.0, 45.0, 5.0)  # green, pink


def resized(plane, shape, method):
    return np.asarray(Image.fromarray(np.asarray(plane, np.float32)).resize(shape[::-1], method))


def averaged(planes, shape):
    return np.stack([resized(plane, shape, Image.Resampling.BOX) for plane in planes])


def bicubic(ab, shape):
    return np.stack([resized(plane, shape, Image.Resampling.BICUBIC) for plane in ab])


def two_colors(height, width):
    """Lab of two flat colors with a slanted border, and how far each pixel is from it."""
    y, x = np.mgrid[:height, :width]
    away = (x - 0.47 * width + 0.2 * (y - height / 2)) / np.hypot(1, 0.2)
    return np.where(away[..., None] > 0, LIGHT, DARK).astype(np.float32), np.abs(away)


def difference(lab, ab):
    return deltaE_ciede2000(lab, np.concatenate([lab[..., :1], ab.transpose(1, 2, 0)], axis=-1))


def test_two_colors_meet_where_their_lightness_does():
    lab, away = two_colors(384, 512)
    grid = averaged(lab[..., 1:].transpose(2, 0, 1), (48, 64))
    sharp = difference(lab, upsample(grid, lab[..., 0]))
    blurred = difference(lab, bicubic(grid, lab.shape[:2]))
    near = (away > 1) & (away < 4)  # half a cell of 8 pixels, but for the pixels that the border runs through
    assert blurred[near].mean() > 8
    assert sharp[near].mean() < 3
    far = away > 24
    assert sharp[far].max() < 0.5


@pytest.mark.parametrize("shape", [(40, 40), (57, 43), (64, 64)])
def test_chroma_that_follows_a_photos_lightness_is_found_again(shape):
    """On a real photo: chroma is a linear function of L*, the very model of the regression."""
    lightness = rgb2lab(np.repeat(data.camera()[..., None], 3, axis=2))[..., 0].astype(np.float32)
    truth = np.stack([0.6 * lightness - 30, 20 - 0.4 * lightness])
    grid = averaged(truth, shape)
    error, bicubic_error = (np.abs(ab - truth).mean() for ab in (upsample(grid, lightness), bicubic(grid, (512, 512))))
    assert error < 0.55 * bicubic_error


@pytest.mark.parametrize("value", [0.0, -37.3, 107.9])
def test_even_chroma_stays_as_it_is(value):
    lightness = np.random.default_rng(0).uniform(0, 100, (300, 420)).astype(np.float32)
    out = upsample(np.full((2, 40, 56), value, np.float32), lightness)
    np.testing.assert_array_equal(out, np.full((2, 300, 420), value, np.float32))


def test_film_grain_does_not_become_color():
    """Chroma that changes smoothly over flat lightness with grain of 5 L* stays within a fiftieth of it."""
    ramp = np.linspace(-40, 40, 64, dtype=np.float32)
    ab = np.stack([np.tile(ramp, (48, 1)), np.tile(-ramp, (48, 1))])
    grain = np.random.default_rng(1).normal(0, 5, (384, 512)).astype(np.float32)
    colored = upsample(ab, 50 + grain) - bicubic(ab, grain.shape)
    assert colored.std() < 0.1
    assert np.abs(colored).max() < 1


@pytest.mark.parametrize(
    ("grid", "lightness"),
    [((40, 40), (40, 40)), ((160, 160), (150, 200)), ((40, 56), (1, 1)), ((40, 160), (50, 200)), ((1, 1), (1, 1))],
)
def test_a_photo_no_larger_than_the_grid_leaves_chroma_alone(grid, lightness):
    ab = np.random.default_rng(0).normal(0, 20, (2, *grid)).astype(np.float32)
    assert upsample(ab, np.full(lightness, 50, np.float32)) is ab


@pytest.mark.parametrize("shape", [(65, 1000), (300, 301), (2, 4096)])
def test_the_size_is_that_of_the_lightness(shape):
    lightness = np.random.default_rng(0).uniform(0, 100, shape).astype(np.float32)
    out = upsample(np.zeros((2, 1, 3), np.float32), lightness)
    assert (out.shape, out.dtype) == ((2, *shape), np.float32)


@pytest.mark.parametrize(("height", "width"), [(160, 224), (161, 226), (163, 163)])
def test_the_predicted_grid_is_found_in_what_a_network_enlarged(height, width):
    """Torch's bicubic interpolation of smooth chroma, cropped as networks do, whose cells are then cut off."""
    rows, columns = -(-height // 4), -(-width // 4)
    rng = np.random.default_rng(0)
    grid = bicubic(rng.normal(0, 20, (2, 12, 16)), (rows, columns))
    enlarged = torch.nn.functional.interpolate(torch.from_numpy(grid)[None], scale_factor=4, mode="bicubic")
    found = predicted_grid(enlarged[0, :, :height, :width].numpy(), 4)
    assert found.shape == grid.shape
    np.testing.assert_allclose(found[:, :-1, :-1], grid[:, :-1, :-1], atol=1.5)
    assert np.abs(found - grid).mean() < 0.2


class Linear:
    """A backend whose chroma is a linear function of the lightness that it sees, as that of `two_colors` is."""

    image_size = 64
    stochastic = False
    chroma_stride = 1

    def __call__(self, lightness, seed=None):
        share = (lightness - DARK[0]) / (LIGHT[0] - DARK[0])
        a, b = ((1 - share) * dark + share * light for dark, light in zip(DARK[1:], LIGHT[1:], strict=True))
        return np.concatenate([a, b], axis=1)


class Enlarging(Linear):
    """The same by a network that predicts a quarter of its size, and enlarges that."""

    chroma_stride = 4
    image_size = 256

    def __call__(self, lightness, seed=None):
        small = torch.nn.functional.avg_pool2d(torch.from_numpy(lightness), 4)
        ab = torch.from_numpy(super().__call__(small.numpy()))
        return torch.nn.functional.interpolate(ab, scale_factor=4, mode="bicubic").numpy()


@pytest.mark.parametrize(
    ("dtype", "backend"), [("uint8", Linear()), ("uint16", Linear()), ("float32", Linear()), ("uint8", Enlarging())]
)
def test_a_photo_larger_than_chroma_follows_edges_to_is_sharp_too(dtype, backend, monkeypatch):
    """Through the whole chain, at 1.5 times `SIDE`, within a cell of the grid from the border."""
    lab, away = two_colors(SIDE * 3 // 2, SIDE * 2)
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    photo = _gray_of(lab[..., 0]) * white
    photo = (photo if white == 1 else photo.round()).astype(dtype)
    sharp = rgb2lab(Colorizer(backend)(photo) / white)
    monkeypatch.setattr(colorizer, "upsample", lambda ab, lightness: ab)
    blurred = rgb2lab(Colorizer(backend)(photo) / white)
    cell = lab.shape[0] / 64
    near = (away > cell / 8) & (away < cell)
    assert deltaE_ciede2000(sharp, lab)[near].mean() < 0.45 * deltaE_ciede2000(blurred, lab)[near].mean()
    np.testing.assert_allclose(sharp[..., 0], lab[..., 0], atol=0.4)


def _gray_of(lightness):
    """SRGB in [0, 1] of the gray that has this L*."""
    luminance = ((lightness + 16) / 116) ** 3
    return np.where(luminance > 0.0031308, 1.055 * luminance ** (1 / 2.4) - 0.055, 12.92 * luminance)


def test_far_from_a_hint_chroma_keeps_its_sharp_borders():
    lab, away = two_colors(512, 768)
    photo = (_gray_of(lab[..., 0]) * 255).round().astype(np.uint8)
    plain, hinted = (rgb2lab(Colorizer(Linear())(photo, hints=hints)) for hints in ([], [Hint(0.02, 0.05, "#2b5dab")]))
    far = (away > 1) & (lab[..., 0] > 60)
    far[:300] = False
    assert deltaE_ciede2000(plain, hinted)[far].max() < 2
    near = far & (away < 8)
    assert deltaE_ciede2000(hinted, lab)[near].mean() < 3.5  # bicubic: 6.8


class Striped:
    """A backend that sees stripes where the photo has none."""

    image_size = 256
    stochastic = False
    chroma_stride = 1

    def __call__(self, lightness, seed=None):
        stripes = np.where(np.arange(lightness.shape[3]) // 4 % 2, 40, -40)
        return np.broadcast_to(stripes, (len(lightness), 2, *lightness.shape[2:])).astype(np.float32)


def test_under_a_hint_nothing_is_left_of_the_networks_own_borders():
    photo = np.full((768, 768), 120, np.uint8)
    plain, hinted = (rgb2lab(Colorizer(Striped())(photo, hints=hints)) for hints in ([], [Hint(0.5, 0.5, "#2b5dab")]))
    around = np.s_[364:404, 364:404, 1:]
    assert plain[around].std() > 20
    assert hinted[around].std(axis=(0, 1)).max() < 1
