"""A throw-away PostgreSQL server for tests."""

import getpass
import glob
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import OperationalError

# The shell outlives us by a moment: however a test run ends, its end of the pipe closes, and the server goes.
_GUARD = '"$0" "$@" & read word; kill -INT $!; wait $!; [ "$word" = keep ] || rm -rf "$PWD"'


def find_programs() -> str | None:
    """Return the folder of `initdb` and `postgres`, None where PostgreSQL is not installed.

    Debian keeps them off the PATH.
    """
    folders = os.pathsep.join([os.environ.get("PATH", ""), *sorted(glob.glob("/usr/lib/postgresql/*/bin"))[::-1]])
    initdb = shutil.which("initdb", path=folders)
    return initdb and str(Path(initdb).resolve().parent)


class PostgresServer:
    """A server on a socket in a folder of its own; it needs no port, and no root."""

    def __init__(self, programs: str) -> None:
        self.programs = Path(programs)
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))  # not pytest's: a socket's path is short, and open to others
        self._guard: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        shutil.chown(self.folder, self._user)
        initdb = [self.programs / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust"]
        with (self.folder / "log").open("wb") as log:
            command = [*initdb, "--no-sync", "--no-locale", "-E", "UTF8"]
            subprocess.run(command, stdout=log, stderr=log, check=True, **self._as_user())

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = ("listen_addresses=", "fsync=off", f"unix_socket_directories={self.folder}")
        options = [part for setting in settings for part in ("-c", setting)]
        command = ["sh", "-c", _GUARD, self.programs / "postgres", "-D", self.folder / "data", *options]
        with (self.folder / "log").open("ab") as log:
            self._guard = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, **self._as_user()
            )
        self._wait()

    def stop(self) -> None:
        """Stop the server; what its clients have in hand fails."""
        if self._guard is not None:
            self._guard.communicate(b"keep\n")
            self._guard = None

    def remove(self) -> None:
        """Stop the server, and delete all it held."""
        self.stop()
        shutil.rmtree(self.folder)

    @contextmanager
    def database(self, folder: Path | None = None) -> Iterator[str]:
        """Make an empty database for a while, in a folder of the server's user if given, and return its URL."""
        name = f"test_{uuid4().hex[:12]}"
        if folder:
            self._execute(f"CREATE TABLESPACE space_{name} LOCATION '{folder}'")
        self._execute(f"CREATE DATABASE {name} STRATEGY file_copy" + (f" TABLESPACE space_{name}" if folder else ""))
        try:
            yield self.url(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")
            if folder:
                self._execute(f"DROP TABLESPACE space_{name}")

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        query = {"host": str(self.folder)}
        return URL.create("postgresql+psycopg", "postgres", database=database, query=query).render_as_string()

    def _as_user(self) -> dict[str, object]:
        here = {"cwd": self.folder}
        return here | {"user": self._user, "group": self._user, "extra_groups": []} if os.geteuid() == 0 else here

    def _wait(self) -> None:
        for _ in range(600):
            try:
                return self._execute("SELECT 1")
            except OperationalError:
                if self._guard is None or self._guard.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()}")

    def _execute(self, command: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(command))
        finally:
            engine.dispose()
