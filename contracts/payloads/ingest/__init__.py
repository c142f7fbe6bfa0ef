"""What enters."""
