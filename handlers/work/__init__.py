"""Handing out work, healing it, and the tasks that bear it."""
