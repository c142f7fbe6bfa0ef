"""What may be said: envelopes, payload models by kind and version, errors, subjects, the canonical form, schemas."""
