"""The miner's entry point: `python neurons/miner.py --netuid 72`."""

from streetvision.base.resources import limit_thread_pools
from streetvision.miner.early_signals import stop_cleanly_while_importing

if __name__ == "__main__":
    stop_cleanly_while_importing()
    limit_thread_pools()
    from streetvision.miner.process import main

    main()
