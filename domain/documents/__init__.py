"""Instructions and what is made of them."""
