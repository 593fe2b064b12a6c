"""A project: a folder with params, what DVC and git know about it, and the checks that judge it."""
