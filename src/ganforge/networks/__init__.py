"""Networks: blocks shared by all, and a package for each modality."""
