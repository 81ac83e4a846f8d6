"""What the operator should know: standing in the metagraph, and what changed."""
