"""Files: uploads, what they are, who needs them, and the signed URLs by which they come and go."""
