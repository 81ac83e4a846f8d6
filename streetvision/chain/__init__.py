"""Everything that touches Bittensor: client, registration, metagraph snapshots, the mocked chain."""
