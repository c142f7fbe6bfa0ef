"""Commands by request and reply."""
