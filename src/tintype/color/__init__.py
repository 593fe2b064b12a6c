"""Color: conversions between sRGB and Lab, the networks' color spaces, ab bins and the CIEDE2000 color difference."""
