"""The ops commands, one module each. Every invocation is a row in ``ops_runs``."""
