"""The benchmarks: every contender in the same run, on the same machine, with the same messages."""
