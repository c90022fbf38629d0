"""Serial lines of a plant: RS-485 buses and RS-232 connections, as their wires, settings and termination make them."""
