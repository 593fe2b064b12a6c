"""Colorization of videos: read and written by FFmpeg, with chroma that is steady over time."""
