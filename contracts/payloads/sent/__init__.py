"""What the daemon says: receipts, replies, events, work, pulses."""
