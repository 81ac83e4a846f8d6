"""`streetvision doctor`: what is right and wrong with this miner, with evidence and the exact remedy."""
