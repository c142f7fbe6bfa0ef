"""Assets and who holds on to them."""
