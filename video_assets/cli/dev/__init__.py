"""Everything on one machine, and the processes it is made of."""
