"""Prices over time."""
