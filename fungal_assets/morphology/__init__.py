"""What the specimens look like: feature vectors, and the clusters that they form."""
