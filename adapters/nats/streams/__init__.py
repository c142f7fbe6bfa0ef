"""Streams and consumers: provisioning, the continuous pull, single messages, trimming."""
