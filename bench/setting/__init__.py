"""What every measurement stands on: servers, daemons, processes, the load."""
