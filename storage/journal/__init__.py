"""What the daemon remembers of messages and of itself: inbox, outbox, dead letters, replays, leases, runs."""
