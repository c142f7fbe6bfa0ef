"""Exports: documents written by the daemon itself, in a thread, under a lease."""
