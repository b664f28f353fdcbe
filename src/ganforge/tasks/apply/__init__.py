"""Applying a network that turns pictures into pictures: to an array, a file, a folder, a video."""
