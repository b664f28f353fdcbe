"""From files to batches: readers, built-in sets, the image store and its sampler."""
