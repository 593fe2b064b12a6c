"""Whether MLflow's store answers, asked once at the start of a stage: a dead one is one line within seconds."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from tintype.errors import UserError, redacted
from tintype.tracking.location import database_of

ANSWER_SECONDS = 5
"""How long a server has for its first answer, unless ``MLFLOW_HTTP_REQUEST_TIMEOUT`` says otherwise."""
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def check_store(uri: str) -> None:
    """Ask a server or a database for an answer, or wait until a SQLite file is free.

    From then on, MLflow repeats a call that fails twice, and not for minutes, unless the user set another number.

    Raises:
        UserError: there is no answer, or it is an error; the message names the URI without its credentials.
    """
    if redacted(uri) != uri:  # MLflow prints the address of every run
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    seconds = int(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") or ANSWER_SECONDS)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in ("http", "https"):
        _check_server(uri, seconds)
    elif scheme == "sqlite":
        wait_for_lock(uri)
    elif scheme in DATABASE_PORTS:
        _check_database(uri, DATABASE_PORTS[scheme], seconds)


def _check_server(uri: str, seconds: int) -> None:
    try:
        answer = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/search",
            "POST",
            json={"max_results": 1},
            max_retries=0,
            timeout=seconds,
            raise_on_status=False,
        )
    except (MlflowException, requests.RequestException) as error:
        silent = "timed out" in str(error)
        raise _dead(uri, f"no answer within {seconds} s" if silent else _last_words(error)) from None
    if answer.status_code != 200:
        raise _dead(uri, f"answers {answer.status_code} {answer.reason}")
    try:
        answer.json()
    except ValueError:
        raise _dead(uri, "answers as no MLflow server does") from None


def _check_database(uri: str, port: int, seconds: int) -> None:
    try:
        url = make_url(uri)
        if url.host:
            socket.create_connection((url.host, url.port or port), timeout=seconds).close()
        with create_engine(url).connect():
            pass
    except ModuleNotFoundError as error:
        raise _dead(uri, f"needs {error.name}, which is not installed") from None
    except (OSError, SQLAlchemyError) as error:
        raise _dead(uri, _last_words(getattr(error, "orig", error))) from None


def wait_for_lock(uri: str) -> None:
    """Wait until no other program has locked the SQLite file, with a message. Other stores are not waited for."""
    file = database_of(uri)
    told = False
    while file is not None and _locked(file):
        if not told:
            print(f"waiting for {file}, which another program has locked", file=sys.stderr, flush=True)
        told = True


def _locked(file: Path) -> bool:
    """Return whether a SQLite file cannot be written to for a second, because another program does."""
    with closing(sqlite3.connect(file, timeout=1, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            return "locked" in str(error)  # any other fault shows where the store is used
    return False


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn the end of a server or database within the block into one line. Raises `UserError`."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException) as error:
        raise _dead(uri, _last_words(error)) from None


def _dead(uri: str, why: str) -> UserError:
    return UserError(f"MLflow at {redacted(uri)}: {why}; start it, or set MLFLOW_TRACKING_URI to one that answers")


def _last_words(error: BaseException) -> str:
    """Return the end of a chain of messages ("pool: connection: refused"), which is the cause, without URLs."""
    return " ".join(str(error).split()).rpartition(": ")[2].rstrip(")'\" ") or type(error).__name__
