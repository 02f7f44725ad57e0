"""An account at AWS: clients, failures in our words, waiting, logs, and what becomes of things when we must stop."""
