"""The networks' color spaces against Pillow, scikit-image and colorsys, over the whole RGB cube."""

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2hsv

from tintype.color.lab import lab_to_net, rgb_to_lab, to_uint8
from tintype.color.spaces import SPACES, hsv_to_rgb, rgb_to_hsv, rgb_to_ycbcr, ycbcr_to_rgb
from tintype.data.lab_codes import decode, encode


def cube():
    """All 16,777,216 8-bit colors, one plane of green and blue at a time."""
    values = torch.arange(256, dtype=torch.uint8)
    green, blue = torch.meshgrid(values, values, indexing="ij")
    for red in range(256):
        yield torch.stack([torch.full_like(green, red), green, blue])[None]


@pytest.mark.parametrize("there_and_back", [(rgb_to_hsv, hsv_to_rgb), (rgb_to_ycbcr, ycbcr_to_rgb)])
def test_every_color_comes_back(there_and_back):
    there, back = there_and_back
    for rgb8 in cube():
        assert torch.equal(to_uint8(back(there(rgb8 / 255))), rgb8)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_colors_come_back_from_lab_through_every_space(space):
    """As they do from the Lab cache: Project, what a generator sees and predicts, sRGB."""
    split, to_rgb = SPACES[space].split, SPACES[space].to_rgb
    for rgb8 in cube():
        lightness, chroma = split(rgb_to_lab(rgb8 / 255))
        assert lightness.shape[1] == 1
        assert chroma.shape[1] == SPACES[space].planes
        low = -1 if SPACES[space].signed else 0
        assert low - 1e-4 <= min(lightness.min(), chroma.min())
        assert max(lightness.max(), chroma.max()) <= 1 + 1e-4
        assert torch.equal(to_uint8(to_rgb(lightness, chroma)), rgb8)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_a_prediction_in_lab_and_a_lightness_as_a_gray_photo(space):
    """The photo's own planes are its Lab again, and are had from Lab's network units; a gray photo looks as it did."""
    works_in = SPACES[space]
    lab = rgb_to_lab(torch.from_numpy(np.random.default_rng(1).random((2, 3, 40, 40))))
    lightness, chroma = works_in.split(lab)
    tolerance = 1.0 if space == "hsv" else 1e-3  # HSV is that of the photo in 8 bits
    torch.testing.assert_close(works_in.to_lab(lightness, chroma), lab, atol=tolerance, rtol=0)
    for ours, want in zip(works_in.from_net_lab(*lab_to_net(lab)), (lightness, chroma), strict=True):
        torch.testing.assert_close(ours, want)

    gray = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    lightness, _ = works_in.split(rgb_to_lab(gray / 255))
    assert torch.equal(to_uint8(works_in.gray(lightness)), gray)


def test_only_lab_keeps_what_srgb_lacks():
    lab = torch.tensor([50.0, 0.0, -110.0]).view(1, 3, 1, 1)
    kept = SPACES["lab"].to_lab(*SPACES["lab"].split(lab))
    torch.testing.assert_close(kept, lab)
    planes = torch.tensor([1.2, 0.5, -0.2]).view(1, 3, 1, 1)
    torch.testing.assert_close(SPACES["rgb"].to_lab(planes[:, :1], planes), rgb_to_lab(planes.clamp(0, 1)))


def test_hsv_is_that_of_scikit_image_and_colorsys():
    rgb = np.random.default_rng(1).random((1, 3, 40, 40))
    ours = rgb_to_hsv(torch.from_numpy(rgb))
    np.testing.assert_allclose(ours[0].permute(1, 2, 0), rgb2hsv(rgb[0].transpose(1, 2, 0)), atol=1e-12)
    for color in ((0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0.5, 0.25, 0.25)):
        planes = rgb_to_hsv(torch.tensor(color, dtype=torch.float64).reshape(3, 1, 1)).flatten().tolist()
        assert planes == pytest.approx(colorsys.rgb_to_hsv(*color))
        assert hsv_to_rgb(torch.tensor(planes).reshape(3, 1, 1)).flatten().tolist() == pytest.approx(color, abs=1e-6)


def test_ycbcr_is_that_of_pillow():
    rgb8 = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(rgb8).convert("YCbCr")).astype(int)
    ours = 255 * rgb_to_ycbcr(torch.from_numpy(rgb8).permute(2, 0, 1) / 255).permute(1, 2, 0).numpy()
    # Pillow's tables round each plane to 8 bits, and put the middle of 0..255 at 128
    assert np.abs(ours + np.array([0, 0.5, 0.5]) - theirs).max() <= 1.01


@pytest.mark.parametrize("space", sorted(SPACES))
def test_gradients_are_finite_also_at_gray_black_and_white(space):
    grays = [torch.full((3, 1, 1), value) for value in (0.0, 0.5, 1.0)]
    rgb = torch.cat([torch.rand(3, 1, 29), *grays], dim=2)
    lab = rgb_to_lab(rgb[None]).requires_grad_()
    lightness, chroma = SPACES[space].split(lab)
    SPACES[space].to_rgb(lightness, chroma).square().sum().backward()
    assert lab.grad.isfinite().all()
    assert lab.grad.abs().sum() > 0


@pytest.mark.parametrize("space", ["hsv", "rgb", "ycbcr"])
def test_gradients_are_those_of_finite_differences(space):
    torch.manual_seed(3)
    lightness, chroma = torch.rand(1, 1, 4, 4, dtype=torch.float64), torch.rand(1, 2, 4, 4, dtype=torch.float64)
    if space == "rgb":
        chroma = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    inside = 0.3 + 0.4 * chroma  # away from what is clipped
    assert torch.autograd.gradcheck(lambda c: SPACES[space].to_rgb(0.4 + 0.2 * lightness, c), inside.requires_grad_())


@pytest.mark.parametrize("precision", ["exact", "uint8"])
def test_gray_has_no_hue_after_the_lab_cache(precision):
    """Its channels differ by rounding errors there, and those have hues."""
    gray = torch.arange(1, 256, dtype=torch.uint8).expand(3, 1, 255)
    lab = decode(encode(rgb_to_lab(gray / 255)[None], precision))
    lightness, chroma = SPACES["hsv"].split(lab)
    torch.testing.assert_close(
        lightness[0, 0], gray[0] / 255, atol=1.01 / 255 if precision == "uint8" else 1e-6, rtol=0
    )
    if precision == "exact":
        assert not chroma.any()
