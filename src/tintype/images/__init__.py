"""Images: the one safe path from the bytes of a file to pixels, and back."""
