"""The embedded nats-server and the lock beside its store."""
