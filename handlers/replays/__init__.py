"""Running again what failed."""
