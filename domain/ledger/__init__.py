"""The ledger: usage, prices, and what a group of records changes."""
