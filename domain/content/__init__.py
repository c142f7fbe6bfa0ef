"""Feed items and publications."""
