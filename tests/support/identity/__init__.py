"""A real identity provider beside the tests, and what a person with a browser does at it."""
