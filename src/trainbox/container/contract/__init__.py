"""TBD-DOC container/contract"""
