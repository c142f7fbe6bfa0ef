"""Column types that mean the same on SQLite (STRICT tables) and PostgreSQL.

STRICT takes only INTEGER, TEXT, REAL and BLOB. Times are integer microseconds since the epoch (UTC), money integer
micro-dollars, flags 0 or 1, JSON its text. Text is compared by code point everywhere, as Python does it: PostgreSQL
would otherwise go by the language of the database, and rules such as "the word that sorts last" would differ.
"""

from typing import Final

from sqlalchemy import REAL, BigInteger, Column, Double, Integer, LargeBinary, MetaData, Text
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
