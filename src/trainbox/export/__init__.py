"""TBD-DOC export"""
