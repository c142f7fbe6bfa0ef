"""The command line's connection to a daemon."""
