"""`python -m islands` on a machine whose GPU is its processor."""

import sys

from islands.__main__ import main
from islands.gpu import machine
from tests.islands.gpu.host import WHOLE

if __name__ == "__main__":
    machine.gpu = lambda: WHOLE
    sys.exit(main())
