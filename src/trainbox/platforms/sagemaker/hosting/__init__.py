"""Endpoints and batch transforms: made, tried, asked, and taken down."""
