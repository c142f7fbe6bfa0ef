"""Uploads and assets."""
