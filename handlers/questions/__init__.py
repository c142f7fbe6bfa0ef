"""Questions across all families: the story of a thing, what bears an id, the jobs of all owners."""
