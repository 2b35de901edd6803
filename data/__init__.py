"""Tables and the formats that they come from and go to."""
