"""Those who race: each module runs as a process of its own and works the same stream off."""
