"""From what the miner saw to what it should learn next: a FiftyOne dataset of the log, hard cases, labels, quality."""
