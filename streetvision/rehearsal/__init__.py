"""A rehearsal of retraining: the miner, a stream that shifts, and runs that should be promoted, taken back, refused."""
