"""``headgate watch``."""
