"""Color against scikit-image and the published data of CIEDE2000."""

import numpy as np
import pytest
import torch
from skimage import color as reference
from torch.autograd import gradcheck

from tintype.color.difference import delta_e_ciede2000
from tintype.color.lab import gray_rgb, lab_to_net, lab_to_rgb, net_to_lab, rgb8_to_lab, rgb_to_lab, to_uint8

CORNERS = torch.tensor([[[float(i >> k & 1) for k in range(3)]] for i in range(8)]).view(8, 3, 1, 1)


def some_rgb(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Random colors, the cube's corners, grays, and values around the thresholds of both curves."""
    rng = torch.Generator().manual_seed(0)
    anything = torch.rand(2, 3, 32, 32, generator=rng, dtype=torch.float64)
    anything[0, :, 0, :8] = CORNERS[:, :, 0, 0].T
    anything[0, :, 1] = torch.linspace(0, 1, 32, dtype=torch.float64)
    anything[1] *= 0.1
    return anything.to(dtype)


def skimage_lab(rgb: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(reference.rgb2lab(rgb.double().numpy(), channel_axis=-3))


# Measured: 2e-13 in float64, 5e-5 in float32.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_rgb_to_lab_matches_skimage(dtype: torch.dtype, tolerance: float) -> None:
    rgb = some_rgb(dtype)
    before = rgb.clone()
    lab = rgb_to_lab(rgb)
    assert lab.dtype == dtype
    torch.testing.assert_close(lab.double(), skimage_lab(rgb), atol=tolerance, rtol=0)
    assert torch.equal(rgb, before)


# Measured: 7e-15 in float64, 3e-6 in float32.
@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_lab_to_rgb_matches_skimage_outside_the_gamut_too(dtype: torch.dtype, tolerance: float) -> None:
    rng = torch.Generator().manual_seed(1)
    lab = (
        torch.rand(2, 3, 48, 48, generator=rng, dtype=torch.float64)
        * torch.tensor([100.0, 220.0, 220.0])[:, None, None]
    )
    lab -= torch.tensor([0.0, 110.0, 110.0])[:, None, None]
    want = reference.lab2rgb(lab.numpy(), channel_axis=-3)
    torch.testing.assert_close(lab_to_rgb(lab.to(dtype)).double(), torch.from_numpy(want), atol=tolerance, rtol=0)


def test_8_bit_photos_match_skimage() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    rgb[:8] //= 16
    want = np.moveaxis(reference.rgb2lab(rgb), -1, 0)
    np.testing.assert_allclose(rgb8_to_lab(rgb).numpy(), want, atol=1e-4, rtol=0)  # measured 8e-5


def test_no_8_bit_color_leaves_the_networks_range() -> None:
    """Over the cube's surface, where the extremes lie: |a|, |b| < 108."""
    v = np.arange(256, dtype=np.uint8)
    faces = [np.stack(np.broadcast_arrays(v[:, None], v, np.uint8(end)), -1) for end in (0, 255)]
    surface = np.concatenate([np.roll(face, turn, axis=-1) for face in faces for turn in range(3)])
    lab = rgb8_to_lab(surface)
    assert lab[1:].abs().max() == pytest.approx(107.86, abs=0.01)  # blue's b
    lightness, chroma = lab_to_net(lab[None])
    assert lightness.min() == -1
    assert lightness.max() == pytest.approx(1, abs=1e-6)
    assert chroma.abs().max() < 1


def test_known_colors() -> None:
    """Red by hand: X, Y, Z = 0.412453, 0.212671, 0.019334 over white, cube roots, differences."""
    red = torch.tensor([1.0, 0, 0], dtype=torch.float64).view(3, 1, 1)
    f = [(v / w) ** (1 / 3) for v, w in zip((0.412453, 0.212671, 0.019334), (0.95047, 1, 1.08883), strict=True)]
    want = [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]
    assert rgb_to_lab(red).flatten().tolist() == pytest.approx(want, abs=1e-10)
    assert rgb_to_lab(torch.zeros(3, 1, 1)).flatten().tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert lab_to_rgb(torch.tensor([100.0, 0, 0]).view(3, 1, 1)).flatten().tolist() == pytest.approx(
        [1, 1, 1], abs=1e-4
    )


def test_gradients_match_finite_differences() -> None:
    rng = torch.Generator().manual_seed(2)
    rgb = (0.05 + 0.9 * torch.rand(3, 4, 4, generator=rng, dtype=torch.float64)).requires_grad_()
    assert gradcheck(rgb_to_lab, rgb)
    assert gradcheck(lab_to_rgb, rgb_to_lab(rgb.detach()).requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_black_gray_and_every_corner(dtype: torch.dtype) -> None:
    thresholds = torch.tensor([0.04045, 0.0031308 * 12.92]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    edges = torch.cat([CORNERS, torch.full((1, 3, 1, 1), 0.5), thresholds]).to(dtype)
    for function, at in ((rgb_to_lab, edges), (lab_to_rgb, rgb_to_lab(edges)), (lab_to_rgb, 0 * edges)):
        x = at.clone().requires_grad_()
        function(x).sum().backward()
        assert torch.isfinite(x.grad).all()


def test_network_units() -> None:
    lab = torch.tensor([[100.0, 110, -110], [0, 0, 55]]).view(2, 3, 1, 1)
    lightness, chroma = lab_to_net(lab)
    assert lightness.flatten().tolist() == [1, -1]
    assert chroma.flatten().tolist() == [1, -1, 0, 0.5]
    torch.testing.assert_close(net_to_lab(lightness, chroma), lab)


def test_to_uint8_rounds() -> None:
    levels = torch.arange(256)
    assert torch.equal(to_uint8(levels / 255 - 1e-4), levels.to(torch.uint8))  # truncation would lose one
    assert to_uint8(torch.tensor([-1.0, 2.0])).tolist() == [0, 255]


# L1 a1 b1, L2 a2 b2, difference: Table 1 of Sharma, Wu, Dalal 2005, all 34 pairs.
SHARMA = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def test_ciede2000_gives_the_published_differences() -> None:
    pairs = torch.tensor(
        [[float(v) for v in line.split()] for line in SHARMA.strip().splitlines()], dtype=torch.float64
    )
    assert len(pairs) == 34
    lab1, lab2, want = pairs[:, :3, None, None], pairs[:, 3:6, None, None], pairs[:, 6, None, None]
    torch.testing.assert_close(delta_e_ciede2000(lab1, lab2), want, atol=5.1e-5, rtol=0)
    torch.testing.assert_close(delta_e_ciede2000(lab2, lab1), want, atol=5.1e-5, rtol=0)


# float32: hues near the jump at 180 degrees apart are left out by taking similar colors.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
def test_ciede2000_matches_skimage(dtype: torch.dtype, tolerance: float) -> None:
    rng = torch.Generator().manual_seed(3)
    lab1 = rgb_to_lab(torch.rand(4, 3, 40, 40, generator=rng, dtype=torch.float64))
    noise = torch.randn(lab1.shape, generator=rng, dtype=torch.float64)
    lab2 = lab1.flip(-1) if dtype == torch.float64 else lab1 + 3 * noise
    want = reference.deltaE_ciede2000(lab1.numpy(), lab2.numpy(), channel_axis=1)
    got = delta_e_ciede2000(lab1.to(dtype), lab2.to(dtype))
    assert got.shape == (4, 40, 40)
    torch.testing.assert_close(got.double(), torch.from_numpy(want), atol=tolerance, rtol=0)
    assert delta_e_ciede2000(lab1, lab1).max() == 0


def test_what_is_not_a_color_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rgb is torch.uint8; allowed: torch.float32, torch.float64"):
        rgb_to_lab(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"lab has the shape \(4, 4, 3\); allowed: \(..., 3, H, W\)"):
        lab_to_rgb(torch.zeros(4, 4, 3))


def test_the_gray_of_a_lightness_is_lab_without_chroma():
    L = torch.linspace(0, 100, 1001, dtype=torch.float64)[None]
    lab = torch.stack([L, torch.zeros_like(L), torch.zeros_like(L)])
    levels = torch.from_numpy(reference.lab2rgb(lab.numpy(), channel_axis=0))
    # skimage's inverse matrix leaves grays a little color
    torch.testing.assert_close(gray_rgb(L).expand(3, -1, -1), levels, rtol=0, atol=2e-4)
