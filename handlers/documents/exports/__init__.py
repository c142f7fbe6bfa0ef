"""Exports: asked for, worked on, told."""
