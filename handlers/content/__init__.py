"""Feed items, ideas, scripts and publications."""
