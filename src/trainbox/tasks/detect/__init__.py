"""Object detectors for phones and robots: annotated pictures go in, a detector that a phone loads comes out."""
