"""Model files: written, proved, and read without running what they hold."""
