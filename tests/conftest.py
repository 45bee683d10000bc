"""What holds for all tests: a property may take its time, on a loaded machine too."""

import signal

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""A suite started by nohup tests the same: who ignores the end of the terminal has children that do."""
