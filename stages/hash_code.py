"""Stage `hash_code`: the checkout -> a hash of every stage's code. Each stage depends on its own hash.

The code of a stage is found by following its imports. Editing a comment, a docstring or the layout changes no hash.
"""

import compileall
from pathlib import Path

from _stage import REPO, run

from tintype.closure import hash_files


def stage(hashes: Path) -> None:
    hashes.mkdir(parents=True, exist_ok=True)
    for name, text in hash_files(REPO).items():
        (hashes / name).write_text(text)
    # Outside the checkout, DVC counts byte code as a change of the sources. So compile all of it now, not some of it
    # later.
    for folder in ("src/tintype", "stages"):
        compileall.compile_dir(REPO / folder, quiet=2)


if __name__ == "__main__":
    run(stage)
