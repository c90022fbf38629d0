"""The third ending of every decoder, beside a message and 'not yet'."""


class Malformed(Exception):
    """These bytes break the rules of their protocol; the sentence says which rule."""
