"""TBD-DOC report"""
