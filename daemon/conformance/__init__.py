"""A trial for somebody's worker: a stand-in for the daemon that hands out work and judges what comes back."""
