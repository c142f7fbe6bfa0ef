"""Work that was handed out, tasks, and those who take it."""
