"""An account at AWS: clients, what went wrong in our words, waiting, logs, and what becomes of things when we are told to stop."""
