"""Work that is handed out: attempts, deadlines, tasks."""
