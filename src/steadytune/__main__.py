"""`python -m steadytune`: run a command in the run's worker if one can do it, else in this process."""

import sys

from steadytune.worker.client import hand_over

status = hand_over(sys.argv[1:])
if status is None:
    from steadytune.cli import main

    status = main()
sys.exit(status)
