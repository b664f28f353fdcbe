"""The step files: training algorithms as the papers' boxes state them."""
