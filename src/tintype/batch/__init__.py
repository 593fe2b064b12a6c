"""Folders of photos in color: planned, and refused, before any work; then done file by file."""
