"""Dead letters and their replays."""
