"""Healing across all families: what went stale goes out again, what cannot go out is given up."""
