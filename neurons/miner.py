"""The miner's entry point: `python neurons/miner.py --netuid 72`."""

from streetvision.neuron import main

if __name__ == "__main__":
    main()
