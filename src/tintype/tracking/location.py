"""The address of a SQLite store, and where its artifacts are after it was moved or copied.

MLflow records the absolute address of every artifact. tintype keeps artifacts in ``mlartifacts`` beside the database,
so their addresses follow from where the database is.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import URL, make_url

FOLDER = "mlartifacts"
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns of MLflow's store that hold the addresses of artifacts."""


def sqlite_uri(file: Path) -> str:
    """Return the URI of a SQLite file, of any name: SQLAlchemy takes ``%``, ``?`` and others for parts of a URI."""
    return URL.create("sqlite", database=file.as_posix()).render_as_string()


def database_of(uri: str) -> Path | None:
    """Return the file of a SQLite store, or None for other stores and for a file that does not exist."""
    database = make_url(uri).database if uri.startswith("sqlite:") else None
    return Path(database).resolve() if database and Path(database).is_file() else None


def artifacts_of(uri: str, experiment: str) -> str | None:
    """Return the address of an experiment's artifacts in a SQLite store. None: the server decides."""
    file = database_of(uri)
    return None if file is None else (file.parent / FOLDER / experiment).as_uri()


def update_addresses(uri: str) -> None:
    """Let the addresses in a store that was moved, or copied with its artifacts, lead below its own folder.

    An experiment whose artifacts are not below that folder keeps its address. A store that cannot be written to, too.
    """
    file = database_of(uri)
    if file is None:
        return
    with closing(sqlite3.connect(file, timeout=20)) as database:
        try:
            for (recorded,) in database.execute("SELECT artifact_location FROM experiments").fetchall():
                _, found, name = recorded.rpartition(f"/{FOLDER}/")
                here = file.parent / FOLDER / unquote(name)
                if found and recorded.startswith("file:") and here.is_dir() and not _is(recorded, here):
                    with database:
                        _replace(database, recorded, here.as_uri())
        except sqlite3.DatabaseError:  # read-only, or no store of MLflow's: whoever uses it says so
            return


def _is(address: str, folder: Path) -> bool:
    return Path(unquote(urlsplit(address).path)) == folder


def _replace(database: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in ADDRESSES:
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
        )
