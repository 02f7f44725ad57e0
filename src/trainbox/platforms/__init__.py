"""TBD-DOC platforms"""
