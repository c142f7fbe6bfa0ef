"""Runs: the audit of operations, and those that go on after they were answered."""
