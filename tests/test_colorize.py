"""Photos of all kinds through the colorizer; the joining of chroma and lightness is in test_joining.py."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.color import rgb2lab
from torch import nn

from tintype import Colorizer
from tintype.color.lab import lab_to_rgb, rgb_to_lab, to_uint8
from tintype.color.spaces import SPACES
from tintype.errors import UserError
from tintype.inference.backends.pytorch import LabGenerator
from tintype.inference.colorizer import network_size
from tintype.models import Prediction


class Constant:
    """A backend that gives every pixel the same chroma, and keeps what it was shown."""

    image_size = 32
    stochastic = False
    chroma_stride = 1

    def __init__(self, a=10.0, b=20.0):
        self.ab = np.array([a, b], np.float32)
        self.seen = []

    def __call__(self, lightness, seed=None):
        self.seen.append(lightness)
        batch, _, height, width = lightness.shape
        return np.broadcast_to(self.ab[None, :, None, None], (batch, 2, height, width)).copy()


GRAY = np.random.default_rng(1).integers(110, 150, (37, 50), dtype=np.uint8)


@pytest.mark.parametrize(
    "photo",
    [GRAY, GRAY[..., None], np.repeat(GRAY[..., None], 3, axis=2), GRAY.astype(np.uint16) * 257, GRAY / 255],
    ids=["HxW", "HxWx1", "HxWx3", "uint16", "float"],
)
def test_an_array_keeps_its_size_type_and_lightness_and_gets_the_chroma(photo):
    color = Colorizer(Constant())(photo)
    assert color.shape == (37, 50, 3)
    assert color.dtype == (np.float32 if photo.dtype == np.float64 else photo.dtype)
    white = {"uint8": 255, "uint16": 65535}.get(photo.dtype.name, 1)
    lab, truth = rgb2lab(color / white), rgb2lab(np.repeat(GRAY[..., None], 3, axis=2))
    np.testing.assert_allclose(lab[..., 0], truth[..., 0], atol=0.27)  # half a level of 8 bits
    np.testing.assert_allclose(lab[..., 1], 10, atol=1.0)
    np.testing.assert_allclose(lab[..., 2], 20, atol=1.0)


def test_a_path_its_bytes_and_a_pil_image_give_the_same_image(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(data.chelsea()).convert("L").save(path)
    colorizer = Colorizer(Constant())
    images = [colorizer(form) for form in (path, str(path), path.read_bytes(), Image.open(path))]
    assert {image.size for image in images} == {(451, 300)}
    assert {image.mode for image in images} == {"RGB"}
    assert len({image.tobytes() for image in images}) == 1
    assert images[0].tobytes() == colorizer(np.asarray(Image.open(path))).tobytes()


def test_the_colors_of_a_photo_are_not_looked_at():
    photo = data.astronaut()
    backend = Constant()
    Colorizer(backend, size=512)(photo)
    np.testing.assert_allclose(backend.seen[0][0, 0], rgb2lab(photo)[..., 0], atol=1e-3)


@pytest.mark.parametrize(
    "photo", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.int32), np.zeros(4, np.uint8), np.zeros((0, 4))]
)
def test_other_shapes_and_types_are_refused(photo):
    with pytest.raises(ValueError, match=r"allowed: \(H, W\), \(H, W, 1\) or \(H, W, 3\) of uint8, uint16 or floats"):
        Colorizer(Constant())(photo)


@pytest.mark.parametrize("photo", [np.full((4, 4), 255.0), np.full((4, 4), -0.1), np.full((4, 4), np.nan)])
def test_floats_outside_0_and_1_are_refused(photo):
    with pytest.raises(ValueError, match=r"floats outside \[0, 1\]"):
        Colorizer(Constant())(photo)


@pytest.mark.parametrize(
    ("height", "width", "seen"),
    [(100, 100, (64, 64)), (300, 400, (64, 88)), (400, 300, (88, 64)), (10, 9000, (64, 256)), (1, 1, (64, 64))],
)
def test_the_network_sees_the_photos_own_shape(height, width, seen):
    assert network_size(height, width, 64) == seen


def test_photos_of_one_shape_share_a_batch_and_come_back_in_order():
    backend = Constant()
    photos = [np.full(shape, level, np.uint8) for level, shape in enumerate([(40, 60), (60, 40), (80, 120)], 100)]
    levels = [color.mean() for color in Colorizer(backend, batch_size=3).many(iter(photos))]
    assert sorted(batch.shape for batch in backend.seen) == [(1, 1, 48, 32), (2, 1, 32, 48)]
    assert levels == sorted(levels)


def test_of_an_endless_folder_no_more_than_a_batch_is_read():
    read = []

    def endless():
        while True:
            read.append(1)
            yield GRAY

    next(Colorizer(Constant(), batch_size=4).many(endless()))
    assert len(read) == 4


def test_saturation_scales_the_chroma():
    halved = rgb2lab(Colorizer(Constant(), saturation=0.5)(GRAY))
    np.testing.assert_allclose(halved[..., 1:].mean((0, 1)), [5, 10], atol=0.2)
    np.testing.assert_array_equal(Colorizer(Constant(), saturation=0)(GRAY), np.repeat(GRAY[..., None], 3, axis=2))


def test_color_photos_are_kept_if_so_wished_and_gray_ones_are_not():
    colorizer = Colorizer(Constant(), keep_color=True)
    np.testing.assert_array_equal(colorizer(data.astronaut()), data.astronaut())
    assert colorizer(data.astronaut() / 255).dtype == np.float32
    gray_in_three_planes = np.repeat(GRAY[..., None], 3, axis=2)
    assert (colorizer(gray_in_three_planes) != gray_in_three_planes).any()


def test_a_stochastic_model_has_several_answers_the_same_for_the_same_seed(weights):
    colorizer = Colorizer.load(weights)
    first, second = colorizer.samples(GRAY, 2, seed=1)
    again, _ = colorizer.samples(GRAY, 2, seed=1)
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(colorizer(GRAY), colorizer(GRAY))  # and without being asked, one


def test_a_model_with_one_answer_says_so():
    with pytest.raises(UserError, match=r"this model has one answer.*generator\.dropout"):
        Colorizer(Constant()).samples(GRAY, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 31}, "size 31: allowed: at least 32, that of the model's training photos"),
        ({"batch_size": 0}, "batch_size 0: allowed: at least 1"),
        ({"saturation": -1}, "saturation -1: allowed: 0 to 10"),
        ({"saturation": float("nan")}, "saturation nan"),
        ({"saturation": float("inf")}, "saturation inf"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Colorizer(Constant(), **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "no/such/folder"}, "no/such/folder"),
        ({"backend": "tensorflow"}, "backend 'tensorflow': allowed: auto, torch, onnx"),
        ({"device": "quantum"}, "device 'quantum'"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_one_line(weights, given, message):
    with pytest.raises(UserError, match=message) as error:
        Colorizer.load(**{"model": weights, **given})
    assert "\n" not in str(error.value)


def test_a_file_of_an_array_and_of_an_image_with_transparency(tmp_path):
    alpha = np.zeros((37, 50), np.uint8)
    alpha[:10] = 200
    image = Image.fromarray(np.dstack([GRAY, alpha]), "LA")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    color = Colorizer(Constant())(buffer.getvalue())
    assert color.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(color)[..., 3], alpha)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_in_every_space_the_gray_version_is_what_is_seen(space):
    """An oracle that knows the chroma of one color; the photo has the color's own L*, but other colors."""
    color = torch.tensor([0.6, 0.5, 0.4]).reshape(1, 3, 1, 1)
    lab = rgb_to_lab(color)
    gray_of_it = lab_to_rgb(torch.cat([lab[:, :1], torch.zeros(1, 2, 1, 1)], dim=1))
    lightness, _ = SPACES[space].split(rgb_to_lab(gray_of_it))
    seen = []

    class Oracle(nn.Module):
        def forward(self, small):
            seen.append(small)
            _, chroma = SPACES[space].split(lab)
            return Prediction(chroma.expand(1, -1, *small.shape[2:]), None)

    class InTorch(Constant):
        def __call__(self, lightness, seed=None):
            return LabGenerator(Oracle(), space)(torch.from_numpy(lightness)).numpy()

    other = lab_to_rgb(torch.cat([lab[:, :1], torch.tensor([-20.0, 10.0]).reshape(1, 2, 1, 1)], dim=1))
    photo = to_uint8(other)[0].permute(1, 2, 0).numpy().repeat(8, axis=0).repeat(8, axis=1)
    out = Colorizer(InTorch())(photo)
    assert seen[0].mean().item() == pytest.approx(lightness.item(), abs=0.01)
    np.testing.assert_allclose(rgb2lab(out)[..., 0], lab[0, 0].item(), atol=0.6)
    if space in ("lab", "rgb"):  # the others' chroma means another ab beside the gray version's lightness
        np.testing.assert_allclose(rgb2lab(out)[..., 1:], lab[0, 1:, 0, 0].expand(8, 8, 2), atol=1.0)


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 3), (31, 31), (60, 1200), (1200, 60), (1, 400)], ids=lambda shape: "x".join(map(str, shape))
)
def test_photos_smaller_than_the_networks_stride_and_long_panoramas(everyday, shape):
    gray = np.random.default_rng(2).integers(60, 200, shape, dtype=np.uint8)
    out = Colorizer.load()(gray)
    assert out.shape == (*shape, 3)
    truth = rgb2lab(np.repeat(gray[..., None], 3, axis=2))
    np.testing.assert_allclose(rgb2lab(out)[..., 0], truth[..., 0], atol=0.3)
    assert np.hypot(*np.moveaxis(rgb2lab(out)[..., 1:], 2, 0)).max() > 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("white", [False, True], ids=["black", "white"])
def test_black_stays_black_and_white_white(everyday, dtype, white):
    level = {"uint8": 255, "uint16": 65535}.get(np.dtype(dtype).name, 1.0) if white else 0
    photo = np.full((50, 70), level, dtype)
    out = Colorizer.load()(photo)
    np.testing.assert_allclose(out, np.repeat(photo[..., None], 3, axis=2), atol=1e-4 if dtype == np.float32 else 0)
