"""What all commands share: the batch that carries them out, queries, pages."""
