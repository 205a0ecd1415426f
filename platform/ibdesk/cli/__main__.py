"""``python -m ibdesk.cli``: the same as the command ``ibdesk``."""

import sys

from ibdesk.cli import main

if __name__ == "__main__":
    sys.exit(main())
