"""What files are and show: types by their first bytes, pictures, scans by another program."""
