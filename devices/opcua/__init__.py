"""OPC UA servers on asyncua: who may do what, whom one trusts, and what subscribers are told."""
