"""Sessions, usage, and what is summed up from them."""
