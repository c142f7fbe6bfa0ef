"""Refused messages: recorded, looked at, imported."""
