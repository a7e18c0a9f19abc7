"""`python -m memtrace` is `memtrace`."""

import sys

from memtrace.commands.main import main

sys.exit(main())
