import pytest
import torch

from tintype.color.lab import rgb_to_lab
from tintype.color.spaces import SPACES
from tintype.config import Generator
from tintype.metrics.predictor import load_predictor
from tintype.models import build_generator, save_generator

TINY = Generator(filters=2, depth=4)


def test_a_champion_of_another_size_can_be_measured_again(tmp_path):
    torch.manual_seed(1)
    save_generator(tmp_path, build_generator(TINY, 0, 32), config=TINY, classes=[], image_size=32)
    predict, space, _ = load_predictor(tmp_path, "cpu")
    assert space == "lab"
    smooth = torch.linspace(-1, 1, 24).expand(2, 1, 24, 24)
    with torch.no_grad():
        own = predict(torch.nn.functional.interpolate(smooth, (32, 32), mode="bilinear")).chroma
        other = predict(smooth).chroma
    assert other.shape == (2, 2, 24, 24)
    assert (torch.nn.functional.interpolate(own, (24, 24), mode="bilinear") - other).abs().mean() < 0.1 * own.std()


@pytest.mark.parametrize("space", sorted(SPACES))
def test_a_champion_of_another_size_and_space_gives_its_ab_to_the_photo(tmp_path, space):
    """A generator of one color: its ab come back from any size, on a photo that is gray."""
    config = TINY.model_copy(update={"space": space})
    generator = build_generator(config, 0, 32)
    with torch.no_grad():
        for parameter in generator.to_chroma.parameters():
            parameter.zero_()  # tanh(0) = 0, sigmoid(0) = 1/2
    save_generator(tmp_path, generator, config=config, classes=[], image_size=32)
    predict = load_predictor(tmp_path, "cpu").predict
    lightness = torch.full((1, 1, 24, 24), 0.5)
    with torch.no_grad():
        rgb = SPACES[space].to_rgb(lightness, predict(lightness).chroma)
        same_size = torch.full((1, 1, 32, 32), 0.5)
        want = SPACES[space].to_rgb(same_size, predict(same_size).chroma)
    # in RGB the generator's own lightness gives way to the photo's
    planes = slice(1, 3) if space == "rgb" else slice(0, 3)
    torch.testing.assert_close(
        rgb_to_lab(rgb)[:, planes].mean(dim=(2, 3)), rgb_to_lab(want)[:, planes].mean(dim=(2, 3)), atol=1.5, rtol=0
    )
