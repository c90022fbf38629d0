"""What devices and gateways say, one module for each way of saying it."""
