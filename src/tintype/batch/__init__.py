"""Colorization of whole folders: planned and checked before any work, then done file by file."""
