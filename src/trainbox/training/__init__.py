"""TBD-DOC training"""
