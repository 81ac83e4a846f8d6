"""From image bytes and a deadline to a probability: decode, batch, run. Knows no HTTP and no chain."""
