"""One module for each subject family: load through storage, decide with domain, return effects."""
