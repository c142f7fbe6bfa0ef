"""The two databases: connections, transactions, failures, batches, migrations at start, backup."""
