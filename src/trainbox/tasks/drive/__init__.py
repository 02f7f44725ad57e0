"""Pilots for Donkeycar: a tub goes in, a model that the car loads comes out."""
