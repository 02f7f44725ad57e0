"""Trainbox trains small vision models for things that move or fit in a pocket, and hosts what it trained."""

__version__ = "0.1.0"
