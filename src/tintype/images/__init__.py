"""Images: the one safe way from the bytes of a file to pixels, and back."""
