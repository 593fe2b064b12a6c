"""The sending of spools: in a thread beside the training, and afterwards of what a dead server did not take."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient

from tintype.errors import redacted
from tintype.tracking.server import wait_for_lock
from tintype.tracking.spool import FOLDER, Spool, SpoolingClient, send

PAUSE_SECONDS = 5
"""How long a thread waits before it asks a dead server again."""
LAST_SECONDS = 10
"""How long the end of a stage waits for the next call to arrive."""


class Sender(threading.Thread):
    """A thread that sends a spool while the run fills it. Whatever a server does, the run goes on."""

    def __init__(self, uri: str, spool: Spool) -> None:
        super().__init__(daemon=True)
        self.uri, self.spool = uri, spool
        self.sent = 0
        self.failure: str | None = None
        self.closing = threading.Event()

    def run(self) -> None:
        """Send what there is, again and again. After `closing` is set, only once more."""
        client = MlflowClient(self.uri)
        while True:
            last = self.closing.is_set()
            self._send_all(client)
            if last:
                return
            self.closing.wait(PAUSE_SECONDS if self.failure else 1)

    def _send_all(self, client: MlflowClient) -> None:
        try:
            for call, position in self.spool.pending():
                wait_for_lock(self.uri)
                send(client, self.spool.folder.name, call, self.spool.files)
                self.spool.arrived(call, position)
                self.sent += 1
        except Exception as error:  # any fault of any store: it must not reach the training
            if self.failure is None:
                print(f"{_why(self.uri, error)}; the run goes on, and MLflow gets it later", file=sys.stderr)
            self.failure = _why(self.uri, error)
        else:
            self.failure = None

    def finish(self) -> bool:
        """Send the rest, as long as calls arrive. Return whether all have."""
        self.closing.set()
        before = -1
        while self.is_alive() and before < self.sent:
            before = self.sent
            self.join(LAST_SECONDS)
        return not self.is_alive() and self.failure is None


@contextmanager
def spooled(uri: str, project: Path, run_id: str) -> Iterator[SpoolingClient]:
    """Give a run a spool, and send it meanwhile. What has not arrived at the end stays for `sync`."""
    spool = Spool(project / FOLDER / run_id)
    with _lock(spool.folder):
        spool.open()
        sender = Sender(uri, spool)
        sender.start()
        try:
            yield SpoolingClient(uri, spool)
        finally:
            if sender.finish():
                spool.remove()
            else:
                print(
                    f"MLflow at {redacted(uri)} has not got all of run {run_id}; the rest is in {spool.folder}: "
                    "the next stage sends it, or `tintype sync`",
                    file=sys.stderr,
                )


@dataclass(frozen=True)
class Synced:
    """What became of a project's spools: IDs of runs that were sent, that others are sending, and failures by ID."""

    sent: list[str]
    busy: list[str]
    failed: dict[str, str]


def sync(uri: str, project: Path) -> Synced:
    """Send what a dead server did not take of the project's runs. Runs in training send their spools themselves."""
    synced, client = Synced([], [], {}), MlflowClient(uri)
    for folder in sorted(path for path in (project / FOLDER).glob("*") if path.is_dir()):
        spool = Spool(folder)
        try:
            with _lock(folder, wait=False):
                if folder.is_dir():
                    spool.open()
                    for call, position in spool.pending():
                        send(client, folder.name, call, spool.files)
                        spool.arrived(call, position)
                    spool.remove()
                    synced.sent.append(folder.name)
        except Timeout:
            synced.busy.append(folder.name)
        except Exception as error:  # of one run: the others may have another store
            synced.failed[folder.name] = _why(uri, error)
    return synced


@contextmanager
def _lock(folder: Path, *, wait: bool = True) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"))
    with lock.acquire(timeout=-1 if wait else 0):
        yield
        if not folder.exists():
            Path(lock.lock_file).unlink(missing_ok=True)


def _why(uri: str, error: BaseException) -> str:
    return redacted(f"MLflow at {uri}: {' '.join(str(error).split())[:300] or type(error).__name__}")
