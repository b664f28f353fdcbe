"""What photographs suffer, done on purpose: sharp ones in, damaged ones out, so that a network can learn the way back."""
