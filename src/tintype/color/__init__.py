"""Color: sRGB and Lab, the spaces in which networks work, bins of chroma, and the difference that people see."""
