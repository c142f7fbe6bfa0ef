"""Jobs: their life, what owners may ask of them, and what workers report."""
