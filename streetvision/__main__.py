"""`python -m streetvision`: the miner, where the checkout's neurons/ folder is not at hand."""

from streetvision.early import stop_cleanly_while_importing

if __name__ == "__main__":
    stop_cleanly_while_importing()
    from streetvision.neuron import main

    main()
