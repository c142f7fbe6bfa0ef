"""``headgate publish``."""
