"""Column types that mean the same on SQLite (STRICT tables) and PostgreSQL.

STRICT takes only INTEGER, TEXT, REAL and BLOB. Times are integer microseconds since the epoch (UTC), money integer
micro-dollars, flags 0 or 1, JSON its text. Text is compared by code point everywhere, as Python does it: PostgreSQL
would otherwise go by the language of the database, and rules such as "the word that sorts last" would differ.
"""

from typing import Final

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TextClause,
    event,
)
from sqlalchemy.types import TypeEngine

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Int: Final = BigInteger().with_variant(Integer(), "sqlite")
Str: Final = Text().with_variant(Text(collation="C"), "postgresql")
Real: Final[TypeEngine[float]] = Double().with_variant(REAL(), "sqlite")


def text(name: str, *, nullable: bool = False, primary_key: bool = False) -> Column[str]:
    return Column(name, Str, nullable=nullable, primary_key=primary_key)


def integer(name: str, *, nullable: bool = False, primary_key: bool = False, default: str | None = None) -> Column[int]:
    return Column(name, Int, nullable=nullable, primary_key=primary_key, server_default=default)


def real(name: str, *, nullable: bool = False) -> Column[float]:
    """Eight bytes, for what is measured: fractions, scores, seconds."""
    return Column(name, Real, nullable=nullable)


def blob(name: str, *, nullable: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary(), nullable=nullable)


def serial(name: str) -> Column[int]:
    """A primary key that the database counts up."""
    return Column(name, Int, primary_key=True, autoincrement=True)


def partial_index(name: str, *columns: str, where: TextClause, unique: bool = False) -> Index:
    """An index of the rows of which *where* holds."""
    return Index(name, *columns, unique=unique, sqlite_where=where)


@event.listens_for(metadata, "before_create")
def _make_partial_on_postgresql(_target: MetaData, connection: Connection, **_: object) -> None:
    """The same words by PostgreSQL's option. Naming it loads the dialect, which a daemon on SQLite does without."""
    if connection.dialect.name != "postgresql":
        return
    for table in metadata.tables.values():
        for index in table.indexes:
            if (where := index.dialect_kwargs.get("sqlite_where")) is not None:
                index.dialect_kwargs["postgresql_where"] = where
