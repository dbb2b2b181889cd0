"""What keeps the test cluster or an image from being made, told in one line."""


class SetupError(Exception):
    """The machine or a build step refused; the message says what happened and what to do."""
