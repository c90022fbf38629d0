"""A UHF RFID reader: the air between antennas and tags, the reader itself, and its three faces."""
