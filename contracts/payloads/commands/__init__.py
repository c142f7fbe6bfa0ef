"""What owners and their applications ask."""
