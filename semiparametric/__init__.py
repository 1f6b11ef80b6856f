"""The ground of Cosup: what training, index building and serving share and must agree on."""
