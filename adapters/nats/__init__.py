"""NATS: the connection, publishing, requests, and the service of commands."""
