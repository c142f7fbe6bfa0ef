"""The daemon as a process: its lock, its runtime file, its supervisor, its connections."""
