"""Carrying a decided request to the server and its answer back, byte for byte."""
