"""Projects and jobs."""
