"""A read-only connection to a hospital's database, in one transaction for as long as it is open.

A password never stands in the URL, which shells and process lists show, but in a file or in the driver's own place
(.pgpass, .my.cnf). Messages name neither address nor user, and no words of the driver, which quote values.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from heartify.cohort.sources.natural_text import NoTextError
from heartify.errors import InputError, ServiceError, UsageError

MAX_PASSWORD = 1024
_SECRET = re.compile(r"pass|pwd|secret|token|odbc_connect|credential", re.IGNORECASE)
# One snapshot for both passes of a publication: the weakest level that gives it, by dialect.
_ISOLATION = {
    "postgresql": "REPEATABLE READ",
    "mysql": "REPEATABLE READ",
    "mariadb": "REPEATABLE READ",
    "mssql": "SNAPSHOT",
    "oracle": "SERIALIZABLE",
}
_READ_ONLY = {"mysql": "SET SESSION TRANSACTION READ ONLY", "mariadb": "SET SESSION TRANSACTION READ ONLY"}
_FAILURES = (sa.exc.SQLAlchemyError, OSError, ValueError, TypeError, OverflowError, ArithmeticError)

P = ParamSpec("P")
T = TypeVar("T")


class SqlConnection:
    """An open connection. Raises UsageError for an unusable URL, InputError or ServiceError when it can't be opened."""

    def __init__(self, url: str, password_file: Path | None) -> None:
        checked = check_url(url)
        if password_file is not None:
            checked = checked.set(password=load_password(password_file))
        engine = _build_engine(checked)
        self.dialect = engine.dialect.name
        self.connection = _connect(engine)
        self._finalizer = weakref.finalize(self, _close, self.connection, engine)

    def close(self) -> None:
        """End the transaction and the connection; nothing was written."""
        self._finalizer()


def run_guarded(name: str, what: str, run: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Return what `run` returns.

    Raises InputError for all that a driver raises: not chained and not quoted, as its words hold values and addresses.
    """
    try:
        return run(*args, **options)
    except NoTextError as exc:
        kind, hint = f"values of type {exc}", "cast them to text, number or date in the query"
    except _FAILURES as exc:
        kind, hint = describe_failure(exc), "try it with the database's own client, with the same account"
    raise InputError(f"{name}: {what} ({kind})", hint=hint)


def describe_failure(exc: BaseException) -> str:
    """Return type and SQLSTATE of a driver's exception, and nothing else of it."""
    original = getattr(exc, "orig", None) or exc
    state = str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
    name = type(original).__name__
    return f"{name}, SQLSTATE {state}" if re.fullmatch(r"[0-9A-Z]{5}", state) else name


def check_url(url: str) -> URL:
    """Parse a database URL.

    Raises UsageError when it is none, or holds a password or anything like it.
    """
    try:
        parsed: URL | None = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        parsed = None  # refused out here: the exception quotes the whole URL
    if parsed is None:
        raise UsageError("the database's URL is malformed", hint="such as postgresql+psycopg://user@host/database")
    if parsed.password is not None or any(_SECRET.search(key) for key in parsed.query):
        raise UsageError(
            "the database's URL holds a password, which process lists and histories show",
            hint="leave it out: put it in a file and say --sql-password-file, or use .pgpass",
        )
    if parsed.get_backend_name() == "sqlite":
        _check_sqlite(parsed)
    return parsed


def load_password(path: Path) -> str:
    """Return the first line of a file that nobody else can read.

    Raises InputError.
    """
    try:
        with path.open(encoding="utf-8") as file:
            open_to_others = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            password = file.readline(MAX_PASSWORD).rstrip("\r\n")
    except (OSError, ValueError):
        open_to_others, password = 0, ""
    if open_to_others:
        raise InputError(f"{path.name}: others may read this password file", hint=f"chmod 600 {path.name}")
    if not password:
        raise InputError(f"{path.name}: cannot read a password from it", hint="its first line is the password")
    return password


def _check_sqlite(url: URL) -> None:
    # SQLite would make an empty database of a name that doesn't exist.
    if not url.database or url.database.startswith(("file:", ":")) or not Path(url.database).is_file():
        raise InputError("the SQLite database does not exist", hint="sqlite:///relative.db or sqlite:////absolute.db")


def _build_engine(url: URL) -> Engine:
    options: dict[str, object] = {"isolation_level": level} if (level := _ISOLATION.get(url.get_backend_name())) else {}
    missing = ""
    try:
        engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True, **options)
    except sa.exc.NoSuchModuleError:
        missing = "unknown kind of database"
    except ImportError:
        missing = "the driver is not installed for the kind of database"
    except (sa.exc.SQLAlchemyError, ValueError, TypeError):
        missing = "unusable URL for the kind of database"
    if missing:
        raise UsageError(
            f"{missing} '{url.drivername[:40]}'",
            hint="install its Python driver beside heartify, such as psycopg for postgresql+psycopg://",
        )
    _make_read_only(engine)
    return engine


def _make_read_only(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        # The driver itself begins no transaction for a SELECT, and without one two passes may see different rows.
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    statement = _READ_ONLY.get(engine.dialect.name)
    if statement is not None:
        sa.event.listen(engine, "connect", lambda driver, _record: _run_on_driver(driver, statement))


def _prepare_sqlite(driver: object, _record: object) -> None:
    driver.isolation_level = None  # type: ignore[attr-defined]
    _run_on_driver(driver, "PRAGMA query_only = ON")


def _run_on_driver(driver: object, statement: str) -> None:
    cursor = driver.cursor()  # type: ignore[attr-defined]
    cursor.execute(statement)
    cursor.close()


def _connect(engine: Engine) -> Connection:
    options = {"postgresql_readonly": True} if engine.dialect.name == "postgresql" else {}
    try:
        return engine.connect().execution_options(stream_results=True, **options)
    except _FAILURES as exc:
        kind = describe_failure(exc)
    engine.dispose()
    raise ServiceError(f"the database cannot be reached ({kind})", hint="check address, account and password")


def _close(connection: Connection, engine: Engine) -> None:
    # Nothing was written, so a server that is gone already is as good as one that says goodbye.
    with contextlib.suppress(*_FAILURES):
        connection.close()
    engine.dispose()
