"""The inside: one island, in one process. It never imports `launcher`."""
