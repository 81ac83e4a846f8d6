"""`python -m streetvision.cli`: the command, for a process that starts another one of its own interpreter."""

from streetvision.cli.main import main

if __name__ == "__main__":
    main()
