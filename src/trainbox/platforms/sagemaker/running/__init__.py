"""Training and tuning jobs under way: watched, stopped, paid for, and their models fetched."""
