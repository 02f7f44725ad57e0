"""Task `detect`: object detectors for phones and robots."""
