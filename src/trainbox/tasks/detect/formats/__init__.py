"""The ways people write down boxes, a module each; ``reading.py`` tells them apart."""
