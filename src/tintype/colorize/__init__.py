"""Photos of any size in color: a trained generator's chroma beside the photo's own lightness.

Nothing here imports torch before a generator asks for it: an exported one (ONNX) runs on machines that have none.
"""

from tintype.colorize.colorizer import Colorizer, Prepared

__all__ = ["Colorizer", "Prepared"]
