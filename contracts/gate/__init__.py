"""The gate: what arrives becomes an accepted envelope or a refusal. Pure."""
