"""`python -m streetvision`: the miner, where the checkout's neurons/ folder is not at hand."""

from streetvision.base.resources import limit_thread_pools
from streetvision.miner.early_signals import stop_cleanly_while_importing

if __name__ == "__main__":
    stop_cleanly_while_importing()
    limit_thread_pools()
    from streetvision.miner.process import main

    main()
