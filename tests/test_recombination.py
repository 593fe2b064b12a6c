"""Chroma joined to lightness, against scikit-image."""

import numpy as np
import pytest
from skimage import data
from skimage.color import lab2lch, rgb2lab
from skimage.transform import resize

from tintype.images.strips import STRIP
from tintype.inference.recombination import lightness_of, recombine, resized

TYPES = {"uint8": 255, "uint16": 65535, "float32": 1}


def noise(shape, dtype, seed=1):
    values = np.random.default_rng(seed).random(shape)
    return (values * TYPES[dtype]).astype(dtype)


def lab(pixels):
    in_unit = pixels / TYPES[pixels.dtype.name]
    return rgb2lab(in_unit if pixels.ndim == 3 else np.repeat(in_unit[..., None], 3, axis=2))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(60, 90), (60, 90, 3)])
def test_lightness_is_scikit_images(shape, dtype):
    pixels = noise(shape, dtype)
    np.testing.assert_allclose(lightness_of(pixels), lab(pixels)[..., 0], atol=5e-5)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(120, 150), (120, 150, 3)])
def test_the_lightness_stays_whatever_the_chroma(shape, dtype):
    """Chroma of which half is far out of sRGB's gamut: L* still differs by what rounding to the type's levels does."""
    pixels = noise(shape, dtype)
    ab = np.random.default_rng(2).normal(0, 60, (2, 9, 11)).astype(np.float32)
    out = recombine(pixels, ab)
    assert out.dtype == pixels.dtype
    assert out.shape == (120, 150, 3)
    # Half a level in all of R, G and B at once is 0.26 L* where L* is steepest, at 8.
    atol = {"uint8": 0.27, "uint16": 0.01, "float32": 0.01}[dtype]
    np.testing.assert_allclose(lab(out)[..., 0], lab(pixels)[..., 0], atol=atol)
    assert np.hypot(*lab(out)[..., 1:].transpose(2, 0, 1)).mean() > 20  # and there is color


def test_a_real_photo_given_its_own_chroma_is_itself_again():
    photo = data.astronaut()
    out = recombine(photo, lab(photo)[..., 1:].transpose(2, 0, 1).astype(np.float32))
    assert np.abs(out.astype(int) - photo).max() <= 1
    assert (out != photo).mean() < 1e-3


def test_beyond_the_gamut_hue_stays_and_chroma_is_as_high_as_srgb_has_it():
    pixels = np.full((1, 360), 128, np.uint16) * 257
    hue = np.radians(np.arange(360))
    out = recombine(pixels, 150 * np.stack([np.cos(hue), np.sin(hue)])[:, None].astype(np.float32))
    lch = lab2lch(lab(out))
    turned = np.abs((lch[0, :, 2] - hue + np.pi) % (2 * np.pi) - np.pi)
    assert np.degrees(turned).max() < 0.5
    # The edge of the gamut: one of R, G and B is 0 or full (to the 1/256 of chroma that is searched to).
    edge = np.minimum(out.min(axis=-1), 65535 - out.max(axis=-1))[0]
    assert edge.max() < 0.06 * 65535
    assert np.median(edge) < 0.01 * 65535


def test_black_and_white_take_no_color():
    pixels = np.array([[0, 255]], np.uint8)
    np.testing.assert_array_equal(recombine(pixels, np.full((2, 4, 4), 80, np.float32)), [[[0] * 3, [255] * 3]])


def test_chroma_is_enlarged_without_seams_between_strips():
    """A photo of many strips against the whole plane resized at once by scikit-image."""
    height, width = 700, 600
    assert height * width > 4 * STRIP
    ab = np.random.default_rng(3).normal(0, 8, (2, 13, 17)).astype(np.float32)
    out = lab(recombine(np.full((height, width), 0.5, np.float32), ab))
    whole = np.stack([resize(plane, (height, width), order=3, mode="edge") for plane in ab], axis=-1)
    # Cubic kernels differ (Pillow's a = -0.5, a spline there); a seam would be a jump between neighboring rows.
    assert np.corrcoef(out[..., 1].ravel(), whole[..., 0].ravel())[0, 1] > 0.99
    steps = np.abs(np.diff(out[..., 1], axis=0))
    assert steps.max() < 1.5 * np.abs(np.diff(whole[..., 0], axis=0)).max()


def test_resized_averages_where_it_shrinks():
    plane = np.tile(np.array([[0.0, 100.0]], np.float32), (64, 32))
    np.testing.assert_allclose(resized(plane, 8, 8), 50, atol=2)  # at the border a column counts once more


@pytest.mark.parametrize("shape", [(1, 1), (1, 70000), (70000, 1)])
def test_any_shape(shape):
    assert recombine(np.full(shape, 99, np.uint8), np.ones((2, 3, 4), np.float32)).shape == (*shape, 3)
