"""SQLite: one writer whose transactions are shared, and a pool of readers."""
