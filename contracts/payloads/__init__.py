"""Payload models, one module for each family."""
