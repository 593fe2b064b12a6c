"""Color: sRGB and Lab, the spaces in which networks work, and the difference that people see."""

from tintype.color.colorfulness import colorfulness
from tintype.color.difference import delta_e_ciede2000
from tintype.color.lab import AB_MAX, lab_to_net, lab_to_rgb, net_to_lab, rgb8_to_lab, rgb_to_lab, to_uint8
from tintype.color.spaces import SPACES, ColorSpace, hsv_to_rgb, rgb_to_hsv, rgb_to_ycbcr, ycbcr_to_rgb

__all__ = [
    "AB_MAX",
    "SPACES",
    "ColorSpace",
    "colorfulness",
    "delta_e_ciede2000",
    "hsv_to_rgb",
    "lab_to_net",
    "lab_to_rgb",
    "net_to_lab",
    "rgb8_to_lab",
    "rgb_to_hsv",
    "rgb_to_lab",
    "rgb_to_ycbcr",
    "to_uint8",
    "ycbcr_to_rgb",
]
