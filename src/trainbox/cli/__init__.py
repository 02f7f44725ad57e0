"""TBD-DOC cli"""
