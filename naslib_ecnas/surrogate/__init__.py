"""Models of energy, accuracy and training time over the whole space of cells."""
