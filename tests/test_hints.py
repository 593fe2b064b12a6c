"""Color hints: where their color goes, and where it stops."""

import numpy as np
import pytest
from skimage import data
from skimage.color import rgb2lab

from tintype import Colorizer
from tintype.errors import UserError
from tintype.inference.hints import Hint, follow_hints

ORANGE, BLUE, GRAY = "#d9701f", "#2b5dab", "#777777"


def lab_of(color: str) -> np.ndarray:
    return rgb2lab(np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255)


def halves(left: float, right: float, *, width: int = 120, height: int = 80) -> np.ndarray:
    """A photo of two tones that meet in the middle."""
    lightness = np.full((height, width), left, np.float32)
    lightness[:, width // 2 :] = right
    return lightness


def test_without_hints_the_networks_chroma_is_untouched():
    ab = np.random.default_rng(0).normal(size=(2, 8, 8)).astype(np.float32)
    assert follow_hints(halves(40, 60), ab, []) is ab


def test_over_even_lightness_half_the_color_is_left_at_eight_tenths_of_the_long_side():
    # The way costs 0.5 a long side, and a hint and the network weigh alike at 0.4.
    network = np.float32([20, -10])
    ab = np.broadcast_to(network[:, None, None], (2, 4, 25)).copy()
    out = follow_hints(np.full((32, 200), 50, np.float32), ab, [Hint(0.05, 0.5, ORANGE)])
    assert out.shape == (2, 32, 200)
    wanted = lab_of(ORANGE)[1:]
    np.testing.assert_allclose(out[:, 16, 10], wanted, atol=0.01)
    np.testing.assert_allclose(out[:, 16, 170], (wanted + network) / 2, atol=0.4)
    # At half of that distance the hint weighs 2 ** 4 times as much as the network.
    np.testing.assert_allclose(out[:, 16, 90], (16 * wanted + network) / 17, atol=0.4)


def test_an_edge_in_the_lightness_stops_a_color():
    ab = np.zeros((2, 20, 30), np.float32)
    out = follow_hints(halves(55, 75), ab, [Hint(0.25, 0.5, ORANGE)])
    wanted = lab_of(ORANGE)[1:]
    np.testing.assert_allclose(out[:, 40, 30], wanted, atol=0.5)
    share = np.linalg.norm(out, axis=0) / np.linalg.norm(wanted)
    assert share[:, :56].min() > 0.85
    assert share[:, 64:].max() < 0.25
    without_edge = follow_hints(halves(55, 55), ab, [Hint(0.25, 0.5, ORANGE)])
    assert (np.linalg.norm(without_edge, axis=0) / np.linalg.norm(wanted))[:, 64:].max() > 0.85


def test_two_hints_share_the_photo_at_its_edge_in_any_order():
    hints = [Hint(0.25, 0.5, ORANGE), Hint(0.75, 0.5, BLUE)]
    ab = np.full((2, 20, 30), 5, np.float32)
    out = follow_hints(halves(55, 75), ab, hints)
    for x, color in ((30, ORANGE), (90, BLUE)):
        np.testing.assert_allclose(out[:, 40, x], lab_of(color)[1:], atol=0.5)
    np.testing.assert_allclose(follow_hints(halves(55, 75), ab, hints[::-1]), out, atol=1e-4)


def test_gray_is_a_color_too():
    out = follow_hints(halves(50, 50), np.full((2, 20, 30), 40, np.float32), [Hint(0.5, 0.5, GRAY)])
    np.testing.assert_allclose(out[:, 40, 60], 0, atol=0.1)


def test_borders_follow_the_edges_of_a_photo_larger_than_where_ways_are_measured():
    yy, xx = np.mgrid[:768, :1024]
    lit = xx + 0.3 * yy > 600  # a slanted edge
    lightness = np.where(lit, 75, 50).astype(np.float32)
    out = follow_hints(lightness, np.zeros((2, 48, 64), np.float32), [Hint(0.2, 0.5, BLUE)])
    assert out.shape == (2, 768, 1024)
    share = np.linalg.norm(out, axis=0) / np.linalg.norm(lab_of(BLUE)[1:])
    # Enlarged as they are, the 256 pixels' colors would blur over a dozen of these.
    away = np.abs(xx + 0.3 * yy - 600) > 3
    assert share[away & ~lit & (np.abs(yy - 384) < 200)].min() > 0.7
    assert share[away & lit].max() < 0.3


@pytest.mark.parametrize(("shape", "hint"), [((1, 1), (0, 0)), ((3, 500), (1, 1)), ((500, 2), (1, 0))])
def test_the_smallest_photos_and_their_corners(shape, hint):
    out = follow_hints(np.full(shape, 50, np.float32), np.zeros((2, 8, 8), np.float32), [Hint(*hint, ORANGE)])
    assert out.shape == (2, *shape)
    spot = out[:, int(hint[1] * (shape[0] - 1)), int(hint[0] * (shape[1] - 1))]
    np.testing.assert_allclose(spot, lab_of(ORANGE)[1:], atol=0.2)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_true_colors_at_twelve_spots_bring_back_more_than_the_nearest_spots_color_does(name):
    photo = getattr(data, name)()
    lab = rgb2lab(photo).astype(np.float32)
    height, width = lab.shape[:2]
    rng = np.random.default_rng(1)
    hints = []
    for y, x in rng.uniform(0.02, 0.98, (12, 2)):
        patch = photo[int(y * height) - 2 : int(y * height) + 3, int(x * width) - 2 : int(x * width) + 3]
        hints.append(Hint(x, y, "#" + "".join(f"{int(level):02x}" for level in patch.mean((0, 1)))))
    out = follow_hints(lab[..., 0], np.zeros((2, 32, 32), np.float32), hints)

    yy, xx = np.mgrid[:height, :width]
    nearest = np.argmin([(xx - h.x * width) ** 2 + (yy - h.y * height) ** 2 for h in hints], axis=0)
    voronoi = np.stack([h.ab for h in hints])[nearest]

    def error(ab: np.ndarray) -> float:
        return float(np.sqrt(((ab - lab[..., 1:]) ** 2).sum(-1).mean()))

    assert error(out.transpose(1, 2, 0)) < 0.93 * error(voronoi)
    assert error(out.transpose(1, 2, 0)) < 0.93 * error(np.zeros_like(voronoi))


class Sepia:
    """A backend that sees the world in one color."""

    image_size = 64
    stochastic = False
    chroma_stride = 1

    def __call__(self, lightness, seed=None):
        return np.broadcast_to(np.float32([3, 12])[None, :, None, None], (1, 2, *lightness.shape[2:])).copy()


def test_a_photo_has_the_hue_at_the_spot_its_own_lightness_and_the_networks_colors_elsewhere():
    photo = np.asarray(data.astronaut()[..., 0])
    spot = (330, 140)  # the suit, left
    colorizer = Colorizer(Sepia())
    before, after = colorizer(photo), colorizer(photo, hints=[Hint(spot[1] / 512, spot[0] / 512, ORANGE)])
    lab, old = rgb2lab(after), rgb2lab(before)
    hue, wanted = lab[spot][1:], lab_of(ORANGE)[1:]
    assert abs(np.degrees(np.arctan2(hue[1], hue[0]) - np.arctan2(wanted[1], wanted[0]))) < 5
    np.testing.assert_allclose(lab[..., 0], old[..., 0], atol=1.2)  # 8-bit rounding
    flag = np.linalg.norm((lab - old)[:150, :60, 1:], axis=-1)
    assert np.median(flag) < 4 < np.linalg.norm(lab[spot] - old[spot])


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        ((-0.1, 0.5, ORANGE), "hint x -0.1: allowed: 0 to 1"),
        ((0.5, 1.5, ORANGE), "hint y 1.5: allowed: 0 to 1"),
        ((float("nan"), 0.5, ORANGE), "hint x nan: allowed: 0 to 1"),
        (("0.5", 0.5, ORANGE), "hint x '0.5': allowed: 0 to 1"),
        ((True, 0.5, ORANGE), "hint x True: allowed: 0 to 1"),
        ((0.5, 0.5, "red"), "hint color 'red': allowed: #rrggbb"),
        ((0.5, 0.5, "#ff00000"), "hint color '#ff00000': allowed: #rrggbb"),
        ((0.5, 0.5, None), "hint color None: allowed: #rrggbb"),
    ],
)
def test_a_hint_that_is_none_says_what_is_allowed(hint, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        Hint(*hint)
