"""What is known of agents by what they were last heard to do."""
