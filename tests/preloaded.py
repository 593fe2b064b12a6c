"""A `python` that starts at once, for tests that start a hundred stages: the imports are most of a tiny stage's time.

A server imports the libraries and forks a process for each call; the `python` in its folder hands it the script, the
arguments, the environment, the folder and the streams, and exits as the script does. tintype itself is not imported
ahead: a stage imports that of its own checkout.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIBRARIES = (
    *(
        "torch",
        "torchvision",
        "torchmetrics.functional",
        "lightning_fabric",
        "albumentations",
        "skimage.color",
        "pandas",
    ),
    *("mlflow.store.tracking.sqlalchemy_store", "opentelemetry.sdk.metrics", "scipy.cluster.vq", "matplotlib.figure"),
    *("pandas", "ruamel.yaml", "filelock", "pydantic"),
)


@contextmanager
def preloaded_python() -> Iterator[str]:
    """Serve a `python`; yields its folder, which belongs in PATH."""
    with tempfile.TemporaryDirectory() as folder:  # a short path: a socket's has at most 108 letters
        address, python = Path(folder, "server"), Path(folder, "python")
        real = sys.executable  # runs what is no script
        call = f'exec "{real}" -I -S "{__file__}" call "{address}" "$@"'
        python.write_text(f'#!/bin/sh\ncase "$1" in -*) exec "{real}" "$@";; esac\n{call}\n')
        python.chmod(0o755)
        server = subprocess.Popen([sys.executable, __file__, "serve", str(address)], stdout=subprocess.PIPE)
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield folder
        finally:
            server.terminate()
            server.wait()


def call(address: str, *words: str) -> None:
    """Have a script run, and exit as it does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"!"], [0, 1, 2])
        connection.sendall(json.dumps([words, dict(os.environ), str(Path.cwd())]).encode())
        connection.shutdown(socket.SHUT_WR)
        sys.exit(int(connection.recv(8)))


def serve(address: str) -> None:
    """Run scripts until terminated."""
    for library in LIBRARIES:
        __import__(library)
    gc.freeze()  # the collector leaves the pages alone that all share
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for those that answer
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, *_ = socket.recv_fds(connection, 1, 3)
    words, environment, folder = json.load(connection.makefile())
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(str(status if status >= 0 else 128 - status).encode())
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = words, str(Path(words[0]).resolve().parent)
    try:
        runpy.run_path(words[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # an interpreter with all these modules takes two seconds to go


if __name__ == "__main__":
    {"call": call, "serve": serve}[sys.argv[1]](*sys.argv[2:])
