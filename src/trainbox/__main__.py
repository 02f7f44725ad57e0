"""Run the command line with ``python -m trainbox``."""

from trainbox.cli import main

main()
