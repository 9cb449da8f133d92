"""Turn lab.yaml and the variants' manifests into one frozen Lab; the way in is load.load_lab."""
