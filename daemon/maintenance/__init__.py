"""The background loops, one file each."""
