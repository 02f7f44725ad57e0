"""TBD-DOC container"""
