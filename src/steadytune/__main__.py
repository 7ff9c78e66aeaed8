"""`python -m steadytune`: the command line where the package is not installed."""

import sys

from steadytune.cli import main

sys.exit(main())
