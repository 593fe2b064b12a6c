"""A project: a folder with params, what DVC and git know of it, and what judges it."""
