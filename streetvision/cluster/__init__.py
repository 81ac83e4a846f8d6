"""A shared model behind Ray Serve: what runs on the cluster, the way there, and commands for both. Extra `ray`."""
