"""What tests' own connections have in common."""

from adapters.cancellation import end_where_told_so


async def ignored(_: Exception) -> None:
    """An error callback where errors are what is tried. It is called for each try to reconnect that failed: one of a
    client that was closed meanwhile, and has lost its end, would go on for ever."""
    end_where_told_so()
