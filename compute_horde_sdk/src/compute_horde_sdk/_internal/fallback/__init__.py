"""Jobs on rented cloud machines, for when the network is not there."""
