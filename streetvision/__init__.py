"""streetvision: a miner for Bittensor Subnet 72 (NATIX StreetVision)."""

__version__ = "0.1.0"
