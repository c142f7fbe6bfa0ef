"""Instructions and their versions."""
