"""The engine: players and updates in, trained networks and checkpoints out. Knows no particular GAN and no particular data."""
