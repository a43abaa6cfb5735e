"""Defaults for connections to PostgreSQL, for what the database URL leaves open.

Each of them can be set in the URL's query, as in
`postgresql+psycopg://…/patchwright?tcp_user_timeout=60000&pool_size=5`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

WAITS: Mapping[str, str] = MappingProxyType(
    {
        "connect_timeout": "10",
        # Milliseconds until a sent query that nobody acknowledges is an error. Without it a
        # connection to a machine that is gone, or behind a cut network, hangs for a quarter of an
        # hour, and with it whoever asked.
        "tcp_user_timeout": "30000",
        "keepalives": "1",
        "keepalives_idle": "15",
        "keepalives_interval": "5",
        "keepalives_count": "3",
    }
)
"""Connection parameters of libpq."""
POOL: Mapping[str, int] = MappingProxyType({"pool_size": 10, "max_overflow": 20})
"""Connections of one process that stay open, and more when all are in use.

About ten threads of a process use the database all the time: the runs' loop, heartbeats, the
sweep, the queue notices, the outbox, the maintenance, the name's lock; they must not wait for one
another. The web server's forty threads each need a connection only for milliseconds and can share
twenty. All processes share the server's `max_connections`, by default 100, so there cannot be one
for each thread.
"""


def with_timeouts(url: str) -> str:
    """The URL with the missing defaults added, and without parameters that libpq does not know."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        return url
    missing = {name: value for name, value in WAITS.items() if name not in parsed.query}
    plain = parsed.difference_update_query(POOL).update_query_dict(missing)
    return plain.render_as_string(hide_password=False)


def pool_of(url: str) -> dict[str, int]:
    """How many connections there may be, for `sqlalchemy.create_engine`; raises `ValueError`."""
    query = make_url(url).query
    return {name: int(str(query.get(name, value))) for name, value in POOL.items()}


def check_database(url: str) -> None:
    """Raises `ValueError` unless it is the URL of a database that Patchwright works with."""
    try:
        backend = make_url(url).get_backend_name()
    except ArgumentError as error:
        raise ValueError("is not a database URL") from error
    if backend not in ("sqlite", "postgresql"):
        raise ValueError("must be a sqlite or postgresql URL")
    try:
        pool_of(url)
    except ValueError:
        raise ValueError("has a pool_size or max_overflow that is not a number") from None
