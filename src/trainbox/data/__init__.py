"""TBD-DOC data"""
