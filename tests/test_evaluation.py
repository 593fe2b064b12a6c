import torch

from tintype.config import Generator
from tintype.evaluation import trained
from tintype.models import build_generator, save_generator

TINY = Generator(filters=2, depth=4)


def test_a_champion_of_another_size_can_be_measured_again(tmp_path):
    torch.manual_seed(1)
    save_generator(tmp_path, build_generator(TINY, 0, 32), config=TINY, classes=[], image_size=32)
    colorize = trained(tmp_path)
    smooth = torch.linspace(-1, 1, 24).expand(2, 1, 24, 24)
    with torch.no_grad():
        own = colorize(torch.nn.functional.interpolate(smooth, (32, 32), mode="bilinear"))
        other = colorize(smooth)
    assert other.shape == (2, 2, 24, 24)
    assert (torch.nn.functional.interpolate(own, (24, 24), mode="bilinear") - other).abs().mean() < 0.1 * own.std()
