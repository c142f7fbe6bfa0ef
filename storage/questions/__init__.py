"""What operators ask across all families: stories, ids, the jobs of all owners."""
