"""make demo: a simulated validator against the real miner on the mock network."""
