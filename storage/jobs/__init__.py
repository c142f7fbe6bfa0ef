"""Projects, jobs and what workers made of them."""
