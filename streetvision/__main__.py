"""`python -m streetvision`: the miner, where the checkout's neurons/ folder is not at hand."""

from streetvision.neuron import main

if __name__ == "__main__":
    main()
