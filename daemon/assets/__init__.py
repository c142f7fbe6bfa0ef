"""Files on their way: where their bytes are kept at hand, looked at, and removed."""
