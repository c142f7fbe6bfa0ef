"""Sessions and what they cost."""
