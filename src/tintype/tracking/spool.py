"""What a run logs, in a file of the project first: training waits for no server, and an outage of one loses nothing.

A run's spool is the folder ``.tintype/spool/RUN_ID``. ``calls.jsonl`` has one call of MLflow's client per line,
``files/`` what is to become an artifact, and ``sent`` how many bytes of the calls have arrived. A call that arrives
twice changes nothing: it has its time and its file's name from the first attempt, and MLflow keeps one metric per name,
step, time and value.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from tintype.files import replacing

FOLDER = ".tintype/spool"
Call = dict[str, Any]


class Spool:
    """The calls of one run that have not arrived yet. One process at a time may send them.

    Args:
        folder: the run's folder; its name is the run's ID.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls, self.files, self.mark = folder / "calls.jsonl", folder / "files", folder / "sent"

    def open(self) -> None:
        """Create the folder, or drop the last line of a process that was killed while it wrote it."""
        self.files.mkdir(parents=True, exist_ok=True)
        self.calls.touch()
        whole = self.calls.read_bytes().rpartition(b"\n")
        os.truncate(self.calls, len(whole[0]) + len(whole[1]))

    def append(self, call: Call) -> None:
        """Add a call."""
        with self.calls.open("ab") as file:
            file.write(json.dumps(call).encode() + b"\n")

    def keep(self, file: Path) -> str:
        """Copy a file, and return its path in the spool."""
        name = f"{secrets.token_hex(6)}/{file.name}"
        (self.files / name).parent.mkdir()
        shutil.copyfile(file, self.files / name)
        return name

    def pending(self) -> Iterator[tuple[Call, int]]:
        """Yield the calls that have not arrived, each with what `arrived` is to be told."""
        position = int(self.mark.read_text()) if self.mark.exists() else 0
        with self.calls.open("rb") as file:
            file.seek(position)
            while (line := file.readline()).endswith(b"\n"):
                position += len(line)
                yield json.loads(line), position

    def arrived(self, call: Call, position: int) -> None:
        """Note that a call and all before it have arrived."""
        with replacing(self.mark) as temporary:
            temporary.write_text(str(position))
        if "file" in call:
            shutil.rmtree((self.files / call["file"]).parent, ignore_errors=True)

    def remove(self) -> None:
        """Delete the spool, all of whose calls have arrived."""
        self.mark.unlink(missing_ok=True)  # first: a rest of the spool is sent again, which changes nothing
        shutil.rmtree(self.folder)


def send(client: MlflowClient, run_id: str, call: Call, files: Path) -> None:
    """Make a call of a spool."""
    match call["call"]:
        case "log_batch":
            metrics = [Metric(*metric) for metric in call["metrics"]]
            params, tags = [Param(*param) for param in call["params"]], [RunTag(*tag) for tag in call["tags"]]
            client.log_batch(run_id, metrics, params, tags)
        case "log_artifact":
            if (files / call["file"]).exists():  # else a process was killed after it had sent the file
                client.log_artifact(run_id, str(files / call["file"]), call["path"])
        case "set_terminated":
            client.set_terminated(run_id, call["status"], call["time"])


class SpoolingClient(MlflowClient):
    """MLflow's client, as far as an open run needs it, for a run with a spool. Its calls return at once.

    MLflow's `log_image` makes its calls here, too: `log_artifact` for an image and its thumbnail, and `set_tag`.
    """

    def __init__(self, uri: str, spool: Spool) -> None:
        super().__init__(uri)
        self.spool = spool

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> None:
        """Spool metrics, params and tags."""
        self.spool.append(
            {
                "call": "log_batch",
                "metrics": [[metric.key, metric.value, metric.timestamp, metric.step] for metric in metrics],
                "params": [[param.key, param.value] for param in params],
                "tags": [[tag.key, tag.value] for tag in tags],
            }
        )

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> None:
        """Spool a tag."""
        self.log_batch(run_id, tags=[RunTag(key, str(value))])

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        """Spool a file."""
        kept = self.spool.keep(Path(local_path))
        self.spool.append({"call": "log_artifact", "file": kept, "path": artifact_path})

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """Spool the run's end."""
        end = end_time or int(time.time() * 1000)
        self.spool.append({"call": "set_terminated", "status": status or "FINISHED", "time": end})
