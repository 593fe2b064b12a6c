import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from torch import nn

from tintype.color import SPACES, lab_to_rgb, rgb_to_lab, to_uint8
from tintype.colorize import Colorizer
from tintype.models import Prediction


class Constant(nn.Module):
    """A generator that gives every pixel the same chroma."""

    def __init__(self, a, b):
        super().__init__()
        self.ab = torch.tensor([a, b]) / 110

    def forward(self, lightness):
        b, _, h, w = lightness.shape
        return Prediction(self.ab[None, :, None, None].expand(b, 2, h, w), None)


@pytest.mark.parametrize("shape", [(37, 50), (37, 50, 1), (37, 50, 3)])
def test_a_photo_keeps_its_size_and_lightness_and_gets_the_chroma(shape):
    rng = np.random.default_rng(1)
    gray = rng.integers(110, 150, shape[:2], dtype=np.uint8)
    photo = gray if len(shape) == 2 else np.repeat(gray[..., None], shape[2], axis=2)
    colour = Colorizer(Constant(10.0, 20.0), image_size=32)(photo)
    assert colour.shape == (37, 50, 3)
    assert colour.dtype == np.uint8
    lab, truth = rgb2lab(colour), rgb2lab(np.repeat(gray[..., None], 3, axis=2))
    # Half a step of 8-bit sRGB is about 0.3 L and 0.7 ab.
    np.testing.assert_allclose(lab[..., 0], truth[..., 0], atol=0.35)
    np.testing.assert_allclose(lab[..., 1], 10, atol=1.0)
    np.testing.assert_allclose(lab[..., 2], 20, atol=1.0)


def test_the_colours_of_an_rgb_photo_are_not_looked_at():
    photo = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    seen = []

    class Spy(Constant):
        def forward(self, lightness):
            seen.append(lightness)
            return super().forward(lightness)

    Colorizer(Spy(0.0, 0.0), image_size=16)(photo)
    np.testing.assert_allclose((seen[0][0, 0] + 1) * 50, rgb2lab(photo)[..., 0], atol=1e-3)


@pytest.mark.parametrize("photo", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32), np.zeros(4, np.uint8)])
def test_other_shapes_and_types_are_refused(photo):
    with pytest.raises(ValueError, match=r"allowed: \(H, W\), \(H, W, 1\) or \(H, W, 3\) of uint8"):
        Colorizer(Constant(0.0, 0.0), image_size=16)(photo)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_in_every_space_a_photo_keeps_its_lightness_and_its_gray_version_is_what_is_seen(space):
    """An oracle that knows the chroma of one colour; the photo has the colour's own L*, but other colours."""
    colour = torch.tensor([0.6, 0.5, 0.4]).reshape(1, 3, 1, 1)
    lab = rgb_to_lab(colour)
    gray_of_it = lab_to_rgb(torch.cat([lab[:, :1], torch.zeros(1, 2, 1, 1)], dim=1))
    lightness, _ = SPACES[space].split(rgb_to_lab(gray_of_it))
    seen = []

    class Oracle(nn.Module):
        def forward(self, small):
            seen.append(small)
            _, chroma = SPACES[space].split(lab)
            return Prediction(chroma.expand(1, -1, *small.shape[2:]), None)

    other = lab_to_rgb(torch.cat([lab[:, :1], torch.tensor([-20.0, 10.0]).reshape(1, 2, 1, 1)], dim=1))
    photo = to_uint8(other)[0].permute(1, 2, 0).numpy().repeat(8, axis=0).repeat(8, axis=1)
    out = Colorizer(Oracle(), image_size=8, space=space)(photo)
    assert seen[0].mean().item() == pytest.approx(lightness.item(), abs=0.01)
    np.testing.assert_allclose(rgb2lab(out)[..., 0], lab[0, 0].item(), atol=0.6)
    if space in ("lab", "rgb"):  # the others' chroma means another ab beside the gray version's lightness
        np.testing.assert_allclose(rgb2lab(out)[..., 1:], lab[0, 1:, 0, 0].expand(8, 8, 2), atol=1.0)
