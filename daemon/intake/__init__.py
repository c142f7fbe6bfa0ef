"""The intake of durable messages."""
