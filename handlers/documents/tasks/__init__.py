"""Tasks of documents: asked for, handed to workers, proven, healed."""
