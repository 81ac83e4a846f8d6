"""A subnet and a miner on it, simulated by the minute: what the rules are tested and measured on."""
