"""The isolation gap: two computers in one box, and between them a relay that carries checked data one way."""
