"""Films in color: read and written by FFmpeg, their chroma held steady over time."""
