"""What holds for all tests: a property may take its time, on a loaded machine too."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
