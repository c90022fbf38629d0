"""`python -m lab.cli`, for an installation whose scripts are not on the path."""

import sys

from lab.cli import main

sys.exit(main())
