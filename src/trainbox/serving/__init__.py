"""Serve a finished model over HTTP: one process that talks to clients, and one per core that answers."""
