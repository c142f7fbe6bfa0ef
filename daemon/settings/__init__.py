"""The settings: one TOML file, each key overridable from the environment."""
